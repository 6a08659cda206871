import { generateKeyPairSync } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { afterEach, expect, it, vi } from 'vitest';
import { parseAddCheckpoint, type AddCheckpoint } from '../../src/core/audit/add-checkpoint.ts';
import { parseCheckpoint, type Checkpoint } from '../../src/core/audit/checkpoint.ts';
import { cosign, formatWitnessKey } from '../../src/core/audit/cosignature.ts';
import { formatSignature, parseNote } from '../../src/core/audit/note.ts';
import { verifyConsistency } from '../../src/core/audit/proofs.ts';
import { anyOf, witnessing } from '../../src/core/audit/witnessing.ts';
import { mintId } from '../../src/lib/ids.ts';
import { startTestBroker, type TestBroker } from '../support/test-broker.ts';
import { ScriptedWitness } from '../support/witnesses.ts';

const { privateKey } = generateKeyPairSync('ed25519');
const NAME = 'w.example/1';
const KEY = formatWitnessKey(NAME, privateKey);

const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
});

interface Asked extends AddCheckpoint {
  checkpoint: Checkpoint;
}

/** What the witness was sent, read. */
function readAsked(body: string): Asked {
  const asked = parseAddCheckpoint(body);
  if (!asked) throw new Error('It was sent something else.');
  return { ...asked, checkpoint: parseCheckpoint(parseNote(asked.note).text) };
}

const lineFor = (body: string): string =>
  formatSignature(cosign(NAME, privateKey, parseNote(readAsked(body).note).text, 1_700_000_000));

const answer = (res: ServerResponse, status: number, text: string, type = 'text/plain'): void =>
  void res.writeHead(status, { 'content-type': type }).end(text);

const cosigns: ScriptedWitness['answer'] = (body, res) => answer(res, 200, lineFor(body));

async function start(script: ScriptedWitness['answer']): Promise<[TestBroker, ScriptedWitness]> {
  const witness = new ScriptedWitness(script);
  const url = await witness.listen();
  const test = await startTestBroker({
    witnesses: [{ name: 'one', url, verifierKey: KEY }],
    witnessing: { askEverySeconds: 0.1, answerWithinSeconds: 0.3, allowInsecureLoopback: true },
    metrics: { host: '127.0.0.1', port: 0 },
  });
  open.push(test, witness);
  return [test, witness];
}

async function grow({ broker }: TestBroker, count: number): Promise<number> {
  const at = broker.clock();
  for (let i = 0; i < count; i += 1) {
    await broker.store.write('recordEntry', {
      entry: { id: mintId('ent', at), kind: 'audit.read', at, actor: { system: 'broker' } },
    });
  }
  return (await broker.store.write('publishCheckpoint', { at })).size;
}

const cosigned = ({ broker }: TestBroker): number => broker.readers.lastCosignature(KEY)?.size ?? 0;

const until = (check: () => void): Promise<void> =>
  vi.waitFor(check, { timeout: 15_000, interval: 20 });

const failureIs = ({ broker }: TestBroker, failure: string): Promise<void> =>
  until(() => expect(broker.witnesses.asker.states.map((one) => one.failure)).toEqual([failure]));

it('asks for the newest checkpoint with the proof from the one before, and serves what was signed', async () => {
  const known = { size: 0, root: Buffer.alloc(0) };
  const proven: boolean[] = [];
  const [test] = await start((body, res) => {
    const { old, proof, checkpoint } = readAsked(body);
    expect(old).toBe(known.size);
    const { size, root } = checkpoint;
    const isProven =
      old === 0 ||
      verifyConsistency({ oldSize: old, oldRoot: known.root, newSize: size, newRoot: root, proof });
    proven.push(isProven);
    Object.assign(known, { size, root });
    return cosigns(body, res);
  });
  for (const count of [5, 260, 3]) {
    const size = await grow(test, count);
    await until(() => expect(cosigned(test)).toBeGreaterThanOrEqual(size));
  }
  expect(proven.length).toBeGreaterThanOrEqual(3);
  expect(proven).not.toContain(false);
  const note = test.broker.readers.newestWitnessed(test.broker.witnesses.policy)?.note ?? '';
  const policy = anyOf([{ name: 'one', verifierKey: KEY }], 1);
  expect(witnessing(note, policy).signed).toEqual([{ name: 'one', at: 1_700_000_000_000 }]);
  const metrics = await (await fetch(`${test.metricsUrl}/metrics`)).text();
  expect(metrics).toContain('sallyport_witness_asks_total{witness="one",result="cosigned"}');
  expect(metrics).toMatch(/sallyport_witness_cosigned_entries\{witness="one"\} \d{3}/);
});

it('goes on from the size that the witness tells', async () => {
  let told = 0;
  const [test, witness] = await start((body, res) => {
    const { old } = readAsked(body);
    if (old === 2) return cosigns(body, res);
    told += 1;
    return answer(res, 409, '2\n', 'text/x.tlog.size');
  });
  await until(() => expect(cosigned(test)).toBeGreaterThan(0));
  expect(told).toBe(1);
  expect(witness.asked[1]).toContain('POST /prefix/add-checkpoint\nold 2\n');
});

it.each([
  ['unknown_log', 404, '', 'text/plain'],
  ['not_trusted', 403, '', 'text/plain'],
  ['bad_request', 400, '', 'text/plain'],
  ['inconsistent', 422, '', 'text/plain'],
  ['busy', 429, '', 'text/plain'],
  ['refused', 500, 'boom', 'text/plain'],
  ['refused', 302, '', 'text/plain'],
  ['disagrees', 409, 'who knows', 'text/plain'],
  ['disagrees', 409, '0\n', 'text/x.tlog.size'],
  ['behind', 409, '99999\n', 'text/x.tlog.size'],
  ['bad_answer', 200, 'nonsense', 'text/plain'],
  ['bad_answer', 200, 'x'.repeat(70_000), 'text/plain'],
])(
  'says %s of a witness that answers %i, asks it again later, and goes on',
  async (failure, status, text, type) => {
    const [test, witness] = await start((_body, res) => answer(res, status, text, type));
    await failureIs(test, failure);
    expect(cosigned(test)).toBe(0);
    await grow(test, 1);
    expect(witness.asked.length).toBeLessThan(5);
  },
);

it('takes no cosignature of another checkpoint, nor by another key', async () => {
  const others = generateKeyPairSync('ed25519').privateKey;
  let round = 0;
  const [test] = await start((body, res) => {
    round += 1;
    const { text } = parseNote(readAsked(body).note);
    const wrong =
      round % 2 === 0
        ? cosign(NAME, others, text, 1)
        : cosign(NAME, privateKey, text.replace('\n', '\n1'), 1);
    return answer(res, 200, formatSignature(wrong));
  });
  await failureIs(test, 'bad_answer');
  expect(cosigned(test)).toBe(0);
});

it('waits for nobody who does not answer: never more than one call at a time, and a stop is not held up', async () => {
  const [test, witness] = await start(() => undefined);
  const begun = Date.now();
  await grow(test, 20);
  await failureIs(test, 'timeout');
  expect(Date.now() - begun).toBeLessThan(10_000);
  expect(witness.mostAtOnce).toBe(1);
});

it('says it on record, once, when a witness knows more than there is here', async () => {
  const [test] = await start((_body, res) => answer(res, 409, '5000\n', 'text/x.tlog.size'));
  await failureIs(test, 'behind');
  await grow(test, 2);
  const found = test.broker.readers.listEntries({ from: 0, limit: 500, kind: 'log.behind' });
  expect(found).toHaveLength(1);
  expect(String(found[0]?.bytes)).toContain('"known":5000');
});

it('says it once, too, of a witness that names a larger size each time', async () => {
  let size = 5_000;
  const [test, witness] = await start((_body, res) =>
    answer(res, 409, `${(size += 1)}\n`, 'text/x.tlog.size'),
  );
  await until(() => expect(witness.asked.length).toBeGreaterThan(1));
  await failureIs(test, 'behind');
  const kind = 'log.behind';
  expect(test.broker.readers.listEntries({ from: 0, limit: 500, kind })).toHaveLength(1);
});

it('does not take a witness for one that cosigns which names a newer checkpoint of ours each time', async () => {
  const one: { test?: TestBroker } = {};
  const [test, witness] = await start(async (body, res) => {
    const { size } = readAsked(body).checkpoint;
    const { broker } = one.test ?? {};
    const at = 1_700_000_000_000;
    const entry = {
      id: mintId('ent', at),
      kind: 'audit.read',
      actor: { system: 'broker' },
    } as const;
    await broker?.store.write('recordEntry', { entry: { ...entry, at } });
    return answer(res, 409, `${size + 1}\n`, 'text/x.tlog.size');
  });
  one.test = test;
  await failureIs(test, 'ahead');
  await until(() => expect(witness.asked.length).toBeGreaterThan(1));
  await failureIs(test, 'ahead');
  const shown: unknown = await (await fetch(`${test.url}/api/v1/log/witnesses`)).json();
  expect(shown).toMatchObject({
    witnesses: [{ cosignedSize: null, failure: 'ahead' }],
    witnessedSize: null,
  });
  const metrics = await (await fetch(`${test.metricsUrl}/metrics`)).text();
  expect(metrics).not.toContain('result="cosigned"');
  expect(metrics).toMatch(/sallyport_witness_failing\{witness="one"\} 1/);
});
