import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { verifyBundle } from '../../src/audit/verify-bundle.ts';
import { formatAddCheckpoint } from '../../src/core/audit/add-checkpoint.ts';
import {
  formatCheckpoint,
  openCheckpoint,
  parseCheckpoint,
} from '../../src/core/audit/checkpoint.ts';
import { parseWitnessKey } from '../../src/core/audit/cosignature.ts';
import { openCheckpointOf, parseKeyHistory } from '../../src/core/audit/key-history.ts';
import { ed25519Signer } from '../../src/core/audit/note-keys.ts';
import { parseNote, signNote } from '../../src/core/audit/note.ts';
import { whyNoSplitView } from '../../src/core/audit/split-view.ts';
import { anyOf, witnessing } from '../../src/core/audit/witnessing.ts';
import { mintId } from '../../src/lib/ids.ts';
import { Api } from '../support/api.ts';
import { makePeople, type People } from '../support/people.ts';
import { startTestBroker, type TestBroker } from '../support/test-broker.ts';
import { SampleLog } from '../support/witnesses.ts';

const partner = new SampleLog('partner.example/log').growTo(40);
const lying = partner.fork(11).growTo(60, 'lie');
const padded = new SampleLog('padded.example/log').growTo(40);
const paddedLie = padded.fork(11).growTo(60, 'lie');
const full = new SampleLog('full.example/log').growTo(40);
const fullLie = full.fork(11).growTo(60, 'lie');
const long = new SampleLog('long.example/log').growTo(90);
const empty = new SampleLog('empty.example/log').growTo(5);

/** Signature lines that anybody can add to a note. */
const junkLines = Array.from(
  { length: 90 },
  (_, i) => `\u2014 junk${i} ${Buffer.alloc(500, i).toString('base64')}\n`,
).join('');

const forgetful = new SampleLog('second.example/log').growTo(40);

let test: TestBroker;
let people: People;
let api: Api;

beforeAll(async () => {
  test = await startTestBroker({
    witnessed: [partner, forgetful, padded, full, long, empty].map(({ origin, verifierKey }) => ({
      origin,
      verifierKeys: [verifierKey],
    })),
    witnessing: { callsPerMinute: 100_000 },
  });
  people = await makePeople(test);
  api = new Api(test);
});
afterAll(() => test.close());

const post = (path: string, body: string): Promise<Response> =>
  fetch(`${test.url}${path}`, { method: 'POST', body });
const add = (body: string): Promise<Response> => post('/witness/add-checkpoint', body);

const kinds = (kind: string): unknown[] =>
  test.broker.readers
    .listEntries({ from: 0, limit: 10_000, kind })
    .map(({ bytes }) => (JSON.parse(String(bytes)) as { data: unknown }).data);

const known = (log = partner): number => test.broker.readers.readWatched(log.origin)?.size ?? 0;

describe('being a witness', () => {
  it('cosigns a log that only grows, with a key of its own that it publishes', async () => {
    const first = await add(partner.asking(0, 5));
    expect(first.status).toBe(200);
    const key = (await (await fetch(`${test.url}/api/v1/log/witness-key`)).text()).trim();
    expect(parseWitnessKey(key).name).toBe('test.example/log/witness');
    const note = partner.checkpoint(5) + (await first.text());
    const policy = anyOf([{ name: 'host', verifierKey: key }], 1);
    expect(witnessing(note, policy).isWitnessed).toBe(true);
    expect((await add(partner.asking(5, 9))).status).toBe(200);
    // Its answer was lost: the same one again.
    expect((await add(partner.asking(9, 9))).status).toBe(200);
    expect(known()).toBe(9);
    // Not one for each.
    expect(kinds('log.watched')).toHaveLength(1);
  });

  it('tells the size that it knows to whoever believes in another one', async () => {
    for (const old of [0, 3, 8]) {
      const answer = await add(partner.asking(old, 9));
      expect([answer.status, answer.headers.get('content-type')]).toEqual([
        409,
        'text/x.tlog.size',
      ]);
      expect(await answer.text()).toBe('9\n');
    }
  });

  it.each([
    ['a body that is none', 'nonsense', 400],
    [
      'a checkpoint smaller than the old size',
      partner.asking(9, 9).replace('old 9', 'old 10'),
      400,
    ],
    ['an unknown log', new SampleLog('who.example/log').growTo(3).asking(0), 404],
    ['another key', new SampleLog(partner.origin).growTo(12).asking(0), 403],
    ['a signature over something else', partner.asking(9, 12).replace('\n12\n', '\n13\n'), 403],
    [
      'a proof that leads nowhere',
      formatAddCheckpoint({ old: 9, proof: [Buffer.alloc(32)], note: partner.checkpoint(12) }),
      422,
    ],
  ])('refuses %s', async (_name, body, status) => {
    const answer = await add(body);
    expect(answer.status).toBe(status);
    expect(known()).toBe(9);
  });

  it('takes no body that is too long', async () => {
    expect((await add('x'.repeat(65 * 1024))).status).toBe(400);
  });

  it('has two of the same time not both go on from the same size', async () => {
    const answers = await Promise.all(
      Array.from({ length: 12 }, (_, i) => add(partner.asking(9, 10 + i))),
    );
    const won = answers
      .map(({ status }, i) => [status, 10 + i])
      .filter(([status]) => status === 200);
    // The first one; and whoever came after it found what it left.
    expect(won).toHaveLength(1);
    expect(answers.filter(({ status }) => status === 409)).toHaveLength(11);
    expect(known()).toBe(won[0]?.[1]);
  });

  it('signs no other history: not one of the same size, nor a larger or smaller one; and keeps the proof', async () => {
    const size = known();
    if (size < 21) await add(partner.asking(size, 21));
    const before = kinds('log.split_view').length;
    expect((await add(lying.asking(21, 21))).status).toBe(409);
    expect((await add(lying.asking(21, 33))).status).toBe(422);
    // One of fifteen the honest log showed before, which was not cosigned.
    expect((await add(lying.asking(0, 15))).status).toBe(409);
    expect((await add(lying.asking(21, 33))).status).toBe(422);
    expect(known()).toBe(21);
    // The honest log goes on.
    expect((await add(partner.asking(21, 25))).status).toBe(200);
    expect(kinds('log.split_view').length - before).toBe(3);

    const shown = await api.get(people.auditor, '/log/split-views');
    const items = shown.body.items as Record<string, never>[];
    expect(items).toHaveLength(3);
    for (const one of items) {
      expect(one).toMatchObject({ origin: partner.origin, kind: 'proven', source: 'witness' });
      const { older, newer, past } = one as unknown as {
        older: string;
        newer: string;
        past: { root: string; proof: string[] } | null;
      };
      const bytes = past && {
        root: Buffer.from(past.root, 'base64'),
        proof: past.proof.map((hash) => Buffer.from(hash, 'base64')),
      };
      expect(whyNoSplitView({ older, newer, past: bytes ?? undefined }, partner.verifierKey)).toBe(
        undefined,
      );
    }
    const notices = await api.get(people.auditor, '/notices');
    expect(notices.body.items).toEqual(
      expect.arrayContaining([expect.objectContaining({ kind: 'log.split_view' })]),
    );
  });

  it('says that an old checkpoint came again, or a wrong proof, but not each time', async () => {
    await add(forgetful.asking(0, 20));
    const before = kinds('log.checkpoint_refused').length;
    for (let i = 0; i < 3; i += 1) await add(forgetful.asking(0, 7));
    expect(kinds('log.checkpoint_refused').length - before).toBe(1);
  });

  it('keeps what proves a lie whatever anybody added to the honest checkpoint before, and to the lying one', async () => {
    const before = kinds('log.split_view').length;
    // A stranger pads what the log signed to the size of a whole entry.
    expect((await add(padded.asking(0, 21) + junkLines)).status).toBe(200);
    const stored = test.broker.readers.readWatched(padded.origin)?.note;
    expect(stored).toBe(padded.checkpoint(21));
    expect((await add(paddedLie.asking(21, 21) + junkLines)).status).toBe(409);
    expect((await add(paddedLie.asking(21, 33))).status).toBe(422);
    expect(await compare(paddedLie.checkpoint(21) + junkLines)).toMatchObject({ verdict: 'split' });
    expect(kinds('log.split_view').length - before).toBe(2);
    expect(JSON.stringify(kinds('log.split_view'))).not.toContain('junk');
  });

  it('accuses nobody for a wrong proof, which anybody can send, and has room for the next checkpoint after it', async () => {
    expect((await add(full.asking(0, 16))).status).toBe(200);
    const refused = kinds('log.checkpoint_refused').length;
    const splits = kinds('log.split_view').length;
    const garbage = (note: string): string =>
      formatAddCheckpoint({ old: 16, proof: [Buffer.alloc(32, 7)], note });
    for (let i = 0; i < 3; i += 1)
      expect((await add(garbage(full.checkpoint(33)))).status).toBe(422);
    expect(kinds('log.split_view')).toHaveLength(splits);
    // Of sixteen entries no proof tells the past: what was signed is on record, larger or smaller.
    expect((await add(fullLie.asking(16, 30))).status).toBe(422);
    expect((await add(fullLie.asking(0, 13))).status).toBe(409);
    expect(kinds('log.checkpoint_refused').slice(refused)).toMatchObject([
      { why: 'proof', checkpoint: full.checkpoint(33), knownCheckpoint: full.checkpoint(16) },
      { why: 'proof', checkpoint: fullLie.checkpoint(30) },
      { why: 'smaller', checkpoint: fullLie.checkpoint(13) },
    ]);
    expect(kinds('log.split_view')).toHaveLength(splits);
    // It is proven as soon as the log shows another one of that size, to whomever.
    expect((await add(full.asking(16, 30))).status).toBe(200);
    expect(kinds('log.split_view')).toHaveLength(splits + 1);
    expect((await add(full.asking(0, 13))).status).toBe(409);
    expect(await compare(fullLie.checkpoint(16))).toMatchObject({ verdict: 'split', against: 16 });
    const found = test.broker.readers.listSplitViews({ after: undefined, limit: 3 }, {});
    for (const { kind, older, newer } of found) {
      expect(kind).toBe('proven');
      expect(whyNoSplitView({ older, newer, past: undefined }, full.verifierKey)).toBeUndefined();
    }
  });

  it('lets no stranger fill the log with refusals of honest checkpoints', async () => {
    expect((await add(long.asking(0, 90))).status).toBe(200);
    const before = kinds('log.checkpoint_refused').length;
    for (let size = 1; size < 60; size += 1) await add(long.asking(0, size));
    expect(kinds('log.checkpoint_refused').length - before).toBe(30);
  });

  it('cosigns no empty log with a root', async () => {
    const root = Buffer.alloc(32, 1);
    const note = signNote(formatCheckpoint({ origin: empty.origin, size: 0, root }), [
      ed25519Signer(empty.origin, empty.privateKey),
    ]);
    const asking = formatAddCheckpoint({ old: 0, proof: [], note });
    const answer = await add(asking);
    expect([answer.status, await answer.text()]).toEqual([409, '0\n']);
    expect((await add(empty.asking(0, 0))).status).toBe(200);
    expect((await add(empty.asking(0, 5))).status).toBe(200);
    const before = kinds('log.split_view').length;
    expect((await add(asking)).status).toBe(409);
    expect(kinds('log.split_view').slice(before)).toMatchObject([{ verdict: 'proven' }]);
  });

  it('shows its own side to those who answer for it, and not to partners', async () => {
    const shown = await api.get(people.auditor, '/log/watched');
    expect(shown.body.items).toMatchObject([
      { origin: partner.origin, size: 25 },
      { size: 20 },
      { size: 21 },
      { size: 30 },
      { size: 90 },
      { size: 5 },
    ]);
    expect((await api.get(people.lead, '/log/watched')).status).toBe(403);
    // A partner sees nothing of another partner's log.
    expect((await api.get(people.lead, '/log/split-views')).body.items).toEqual([]);
  });
});

describe('an address that asks without end', () => {
  it('is told to come back', async () => {
    const small = await startTestBroker({
      origin: 'small.example/log',
      witnessing: { callsPerMinute: 3 },
    });
    try {
      const calls = Array.from({ length: 5 }, () =>
        fetch(`${small.url}/witness/add-checkpoint`, { method: 'POST', body: 'x' }),
      );
      const statuses = (await Promise.all(calls)).map(({ status }) => status);
      expect(statuses.sort((a, b) => a - b)).toEqual([400, 400, 400, 429, 429]);
    } finally {
      await small.close();
    }
  });
});

async function grow(count: number): Promise<string> {
  const at = test.broker.clock();
  for (let i = 0; i < count; i += 1) {
    await test.broker.store.write('recordEntry', {
      entry: { id: mintId('ent', at), kind: 'audit.read', at, actor: { system: 'broker' } },
    });
  }
  return (await test.broker.store.write('publishCheckpoint', { at })).note;
}

const compare = async (note: string): Promise<Record<string, unknown>> =>
  (await (await post('/api/v1/log/compare', note)).json()) as Record<string, unknown>;

describe('a checkpoint that somebody saw', () => {
  it('of our log is held against it, and of a log that we watch against what we know of that', async () => {
    const old = await grow(3);
    await grow(3);
    expect(await compare(old)).toMatchObject({ verdict: 'consistent', splitView: null });
    expect(await compare(partner.checkpoint(25))).toMatchObject({ verdict: 'consistent' });
    expect(await compare(partner.checkpoint(3))).toMatchObject({ verdict: 'undecided' });
    expect(await compare(lying.checkpoint(25))).toMatchObject({ verdict: 'split' });
  });

  it('is refused where no key of ours signed it', async () => {
    const forged = new SampleLog('test.example/log').growTo(5).checkpoint();
    expect(await compare(forged)).toMatchObject({ code: 'checkpoint_not_signed' });
    expect(await compare(new SampleLog('x.example/log').growTo(1).checkpoint())).toMatchObject({
      code: 'unknown_log',
    });
    expect(await compare('x')).toMatchObject({ code: 'invalid_request' });
  });
});

describe('a new key of the log', () => {
  it('takes over for those who may have it do so, with the old one beside it; old evidence verifies, and so does new', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'sallyport-keys-'));
    const oldKey = test.broker.store.verifierKey;
    const exported: string[] = [];
    const bundle = async (name: string): Promise<string> => {
      const token = await api.tokenOf(people.auditor);
      const answer = await fetch(`${test.url}/api/v1/exports`, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        body: '{}',
      });
      exported.push(answer.headers.get('x-sallyport-export') ?? '');
      const path = join(folder, name);
      writeFileSync(path, Buffer.from(await answer.arrayBuffer()));
      return path;
    };
    const before = await bundle('before.tar');

    expect((await api.post(people.lead, '/log/keys/rotate', {})).status).toBe(403);
    const rotated = await api.post(people.admin, '/log/keys/rotate', { overlapDays: 7 });
    expect(rotated.body).toMatchObject({ oldKey });
    const { newKey, size } = rotated.body as { newKey: string; size: number };
    expect(test.broker.store.verifierKey).toBe(newKey);
    const text = async (path: string): Promise<string> =>
      (await fetch(`${test.url}/api/v1/log${path}`)).text();
    expect(await text('/verifier-key')).toBe(`${newKey}\n`);

    // Both sign, so that whoever knows either goes on.
    const note = await text('/checkpoint');
    for (const key of [oldKey, newKey])
      expect(openCheckpoint(note, key).size).toBeGreaterThan(size);
    const history = parseKeyHistory(await text('/keys'));
    expect(history).toMatchObject([
      { verifierKey: oldKey, after: -1, upTo: size },
      { verifierKey: newKey, after: size },
    ]);
    expect(openCheckpointOf(note, history).key.verifierKey).toBe(newKey);

    const after = await bundle('after.tar');
    const verdict = async (path: string, ...keys: string[]): Promise<string> =>
      (await verifyBundle(path, keys)).status;
    expect(await verdict(before, oldKey)).toBe('sound');
    expect(await verdict(after, newKey)).toBe('sound');
    // What is read again is what it was, whichever key signs now.
    const reread = await fetch(`${test.url}/api/v1/exports/${exported[0] ?? ''}/content`, {
      headers: { authorization: `Bearer ${await api.tokenOf(people.auditor)}` },
    });
    expect(Buffer.from(await reread.arrayBuffer())).toEqual(readFileSync(before));
    expect(await verdict(after, oldKey)).toBe('sound');
    // Without the history nobody can say whether the old key still counted for a bundle.
    expect(await verdict(before, newKey, oldKey)).toBe('could_not_run');
    const histories = [await text('/keys')];
    const trusted = { keys: [newKey, oldKey], histories };
    expect((await verifyBundle(before, trusted)).status).toBe('sound');
    const stranger = new SampleLog('test.example/log').verifierKey;
    expect(await verdict(after, stranger)).toBe('tampered');
    expect((await verifyBundle(after, stranger)).problem).toContain('never a key of this log');

    expect(kinds('log.key_rotated')).toMatchObject([{ old: oldKey, new: newKey, size }]);
    const notices = await api.get(people.lead, '/notices');
    expect(notices.body.items).toEqual(
      expect.arrayContaining([expect.objectContaining({ kind: 'log.key_rotated' })]),
    );

    // Without overlap: no key of before signs any more, the one whose overlap was not over included.
    const again = await api.post(people.admin, '/log/keys/rotate', { overlapDays: 0 });
    const newest = (again.body as { newKey: string }).newKey;
    const last = await text('/checkpoint');
    expect(() => openCheckpoint(last, newKey)).toThrow('not by');
    expect(() => openCheckpoint(last, oldKey)).toThrow('not by');
    expect(openCheckpoint(last, newest).size).toBeGreaterThan(size);
    const latest = await bundle('latest.tar');
    for (const key of [oldKey, newKey, newest]) expect(await verdict(latest, key)).toBe('sound');
    expect(parseCheckpoint(parseNote(last).text).origin).toBe('test.example/log');
    rmSync(folder, { recursive: true });
  });
});
