import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import request, { type Response } from 'supertest';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { verifyBundle } from '../../src/audit/verify-bundle.ts';
import { openCheckpoint } from '../../src/core/audit/checkpoint.ts';
import { leafHash } from '../../src/core/audit/merkle.ts';
import { mintId } from '../../src/lib/ids.ts';
import { Api } from '../support/api.ts';
import { makeActiveGrant } from '../support/grants.ts';
import { makePeople, type People } from '../support/people.ts';
import { startTestBroker, type TestBroker } from '../support/test-broker.ts';

let test: TestBroker;
let people: People;
let api: Api;

beforeAll(async () => {
  test = await startTestBroker();
  people = await makePeople(test);
  api = new Api(test);
});
afterAll(() => test.close());

const log = (path: string): request.Test => request(test.url).get(`/api/v1/log${path}`);

async function fill(count: number, data = {}): Promise<void> {
  const at = test.broker.clock();
  const entry = { kind: 'audit.read', at, actor: { system: 'broker' }, data } as const;
  await Promise.all(
    Array.from({ length: count }, () =>
      test.broker.store.write('recordEntry', { entry: { ...entry, id: mintId('ent', at) } }),
    ),
  );
}

const bytes = (answer: Response): Buffer => answer.body as Buffer;

describe('what anybody may check', () => {
  it('a signed checkpoint, and the key that verifies it', async () => {
    await test.broker.store.write('publishCheckpoint', { at: test.broker.clock() });
    const note = await log('/checkpoint');
    expect(note.headers['content-type']).toBe('text/plain; charset=utf-8');
    expect(note.headers['cache-control']).toBe('no-cache');
    const key = (await log('/verifier-key')).text.trim();
    expect(key).toBe(test.broker.store.verifierKey);
    const checkpoint = openCheckpoint(note.text, key);
    expect(checkpoint.origin).toBe('test.example/log');
    expect(checkpoint.size).toBeGreaterThan(10);
  });

  it('the hash tiles that the checkpoint covers: full ones for ever, partial ones at any width', async () => {
    await fill(300);
    const now = test.broker.clock();
    const { size } = await test.broker.store.write('publishCheckpoint', { at: now });
    const full = await log('/tile/0/000').buffer(true);
    expect(full.status).toBe(200);
    expect(full.headers['content-type']).toBe('application/octet-stream');
    expect(full.headers['cache-control']).toContain('immutable');
    expect(bytes(full)).toHaveLength(256 * 32);
    const entry = test.broker.readers.readEntry(7);
    const hash = bytes(full).subarray(7 * 32, 8 * 32);
    expect(hash.equals(leafHash(entry?.bytes ?? Buffer.of()))).toBe(true);

    const width = size - 256;
    const partial = await log(`/tile/0/001.p/${width}`);
    expect(bytes(partial)).toHaveLength(width * 32);
    expect(partial.headers['cache-control']).not.toContain('immutable');
    expect(bytes(await log('/tile/0/001.p/1'))).toHaveLength(32);
    expect(bytes(await log('/tile/1/000.p/1'))).toHaveLength(32);
    for (const path of [`/tile/0/001.p/${width + 1}`, '/tile/0/001', '/tile/0/002', '/tile/2/000'])
      expect([path, (await log(path)).status]).toEqual([path, 404]);

    // What was committed after the checkpoint is not shown before the next one.
    await fill(1);
    expect((await log(`/tile/0/001.p/${width + 1}`)).status).toBe(404);
  });

  it('but never the entries themselves', async () => {
    for (const path of ['/entries', '/entries/0', '/tile/entries/000'])
      expect([path, (await log(path)).status]).toEqual([path, 401]);
  });
});

describe('reading entries', () => {
  it('goes by index, in pages, and is itself recorded', async () => {
    const first = await api.get(people.auditor, '/log/entries?limit=5');
    expect(first.body.items.map((item: { index: number }) => item.index)).toEqual([0, 1, 2, 3, 4]);
    expect(first.body.items[0].entry).toMatchObject({ v: 1, index: 0, log: 'test.example/log' });
    expect(first.body.next).toBe('5');
    const second = await api.get(people.auditor, '/log/entries?limit=2&cursor=5');
    expect(second.body.items.map((item: { index: number }) => item.index)).toEqual([5, 6]);
    const from = await api.get(people.auditor, '/log/entries?limit=2&from=5');
    expect(from.body.items).toEqual(second.body.items);

    const size = test.broker.readers.logSize();
    await api.get(people.auditor, '/log/entries?kind=lab.created&limit=10');
    const entry = test.broker.readers.readEntry(size);
    expect(JSON.parse(String(entry?.bytes))).toMatchObject({
      kind: 'audit.read',
      actor: { person: people.auditor.id },
      data: { kind: 'lab.created', found: 3 },
    });
  });

  it('finds what belongs to a grant, and shows each person what is theirs', async () => {
    const grant = await makeActiveGrant(test, people);
    const kinds = async (who: typeof people.lead, query: string): Promise<string[]> =>
      (await api.get(who, `/log/entries?limit=200&${query}`)).body.items.map(
        (item: { entry: { kind: string } }) => item.entry.kind,
      );
    expect(await kinds(people.lead, `ref=${grant.id}`)).toEqual([
      'grant.created',
      'grant.submitted',
      'grant.approved',
      'grant.approved',
      'grant.terms_accepted',
      'grant.terms_accepted',
    ]);
    expect(await kinds(people.lead, `grant=${grant.id}&kind=grant.approved`)).toHaveLength(2);
    expect(await kinds(people.otherLead, `grant=${grant.id}`)).toEqual([]);
  });

  it('one entry by its index, for those who may see it', async () => {
    const one = await api.get(people.auditor, '/log/entries/3');
    expect(one.body).toMatchObject({ index: 3, entry: { index: 3 } });
    const hidden = await api.get(people.otherResearcher, '/log/entries/3');
    const absent = await api.get(people.otherResearcher, '/log/entries/99999999');
    expect([hidden.status, hidden.body.code]).toEqual([404, 'not_found']);
    expect(absent.body.detail).toBe(hidden.body.detail);
  });
});

describe('exporting', () => {
  const open = async (): Promise<Record<string, string>> => ({
    authorization: `Bearer ${await api.tokenOf(people.outsideAuditor)}`,
  });

  it('streams a bundle that verifies offline', async () => {
    const answer = await fetch(`${test.url}/api/v1/exports`, {
      method: 'POST',
      headers: await open(),
    });
    expect(answer.status).toBe(200);
    expect(answer.headers.get('content-type')).toBe('application/x-tar');
    const id = answer.headers.get('x-sallyport-export');
    expect(answer.headers.get('content-disposition')).toBe(
      `attachment; filename="sallyport-${id}.tar"`,
    );
    const folder = mkdtempSync(join(tmpdir(), 'sallyport-export-'));
    try {
      const file = join(folder, 'bundle.tar');
      writeFileSync(file, Buffer.from(await answer.arrayBuffer()));
      const report = await verifyBundle(file, test.broker.store.verifierKey);
      const size = Number(answer.headers.get('x-sallyport-size'));
      expect(report).toMatchObject({ status: 'sound', size, entriesChecked: size });
    } finally {
      rmSync(folder, { recursive: true });
    }
    const [entry] = test.broker.readers.listEntries({ from: 0, limit: 1, ref: id ?? '' });
    expect(JSON.parse(String(entry?.bytes))).toMatchObject({ kind: 'audit.exported' });
  });

  it('goes at the pace of the client, and ends when the client goes away', async () => {
    for (let i = 0; i < 8; i += 1) await fill(1_024, { text: 'x'.repeat(8_000) });
    const { exports, readers } = test.broker;
    const answer = await slowExport(await open());
    const id = String(answer.headers['x-sallyport-export']);
    await sleep(300);
    const waiting = exports.progressOf(id);
    expect(waiting?.entries).toBeLessThan(readers.logSize());
    await sleep(300);
    expect(exports.progressOf(id)).toEqual(waiting);
    answer.destroy();
    await expect.poll(() => exports.progressOf(id)).toBeUndefined();
    const about = { from: 0, limit: 1, ref: id, kind: 'audit.export_completed' };
    expect(readers.listEntries(about)).toEqual([]);
    expect((await log('/checkpoint')).status).toBe(200);
  });
});

/** Begins an export and takes nothing of it but its headers. */
function slowExport(headers: Record<string, string>): Promise<IncomingMessage> {
  const { hostname, port } = new URL(test.url);
  return new Promise((resolve, reject) => {
    const sent = httpRequest(
      { hostname, port, path: '/api/v1/exports', method: 'POST', headers },
      resolve,
    );
    sent.on('error', reject);
    sent.end();
  });
}
