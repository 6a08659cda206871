/** Tiles over HTTP as C2SP tlog-tiles has them: paths, widths, caches, and the bundles of the entries themselves. */
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { leafHash } from '../../src/core/audit/merkle.ts';
import { mintId } from '../../src/lib/ids.ts';
import { Api } from '../support/api.ts';
import { makePeople, type People, type TestPerson } from '../support/people.ts';
import { SetClock } from '../support/set-clock.ts';
import { startTestBroker, type TestBroker } from '../support/test-broker.ts';

let test: TestBroker;
let people: People;
let api: Api;
let size: number;
const clock = new SetClock();

const MINUTE = 60_000;

beforeAll(async () => {
  test = await startTestBroker({ clock: clock.read });
  people = await makePeople(test);
  api = new Api(test);
  const entry = { kind: 'audit.read', at: clock.now, actor: { system: 'broker' } } as const;
  await Promise.all(
    Array.from({ length: 600 }, () =>
      test.broker.store.write('recordEntry', { entry: { ...entry, id: mintId('ent', clock.now) } }),
    ),
  );
  for (const who of [people.auditor, people.outsideAuditor, people.partnerAuditor])
    await api.tokenOf(who);
  ({ size } = await test.broker.store.write('publishCheckpoint', { at: clock.now }));
});
afterAll(() => test.close());

interface Got {
  status: number;
  headers: Headers;
  body: Buffer;
}

/** Past supertest and fetch, which undo the compression. */
async function get(path: string, headers: Record<string, string> = {}): Promise<Got> {
  const answer = await fetch(`${test.url}/api/v1/log${path}`, {
    headers: { 'accept-encoding': 'identity', ...headers },
  });
  return {
    status: answer.status,
    headers: answer.headers,
    body: Buffer.from(await answer.arrayBuffer()),
  };
}

const as = async (who: TestPerson): Promise<Record<string, string>> => ({
  authorization: `Bearer ${await api.tokenOf(who)}`,
});

function entriesIn(bundle: Buffer): Buffer[] {
  const entries: Buffer[] = [];
  for (let at = 0; at < bundle.length;) {
    const length = bundle.readUInt16BE(at);
    entries.push(bundle.subarray(at + 2, at + 2 + length));
    at += 2 + length;
  }
  return entries;
}

interface Reading {
  actor: { person: string };
  data: Record<string, unknown>;
}

const readings = (): Reading[] =>
  test.broker.readers
    .listEntries({ from: 0, limit: 10_000, kind: 'audit.read' })
    .map(({ bytes }) => JSON.parse(bytes.toString('utf8')) as Reading)
    .filter(({ data }) => (data as object | undefined) && data['what'] === 'entry bundles');

describe('tiles of hashes', () => {
  it('that are empty, wider than the log or written otherwise are not there', async () => {
    const width = size % 256;
    const good = `/tile/0/002.p/${width}`;
    expect((await get(good)).status).toBe(200);
    for (const path of [
      `/tile/0/002.p/${width + 1}`,
      '/tile/0/002.p/0',
      '/tile/0/002.p/256',
      '/tile/0/002.p/00',
      '/tile/0/002.p/01',
      '/tile/0/002.p/',
      '/tile/0/002',
      '/tile/0/003.p/1',
      '/tile/0/2',
      '/tile/0/0002',
      '/tile/0/x000/002',
      '/tile/00/000',
      '/tile/-1/000',
      '/tile/64/000',
      '/tile/1/000',
      '/tile/2/000.p/1',
      '/tile/1/000.p/3',
      '/tile/0/000/',
      '/tile/0/..%2f0/000',
    ])
      expect([path, (await get(path)).status]).toEqual([path, 404]);
  });

  it('and the checkpoint are not sent again to whoever has them', async () => {
    for (const path of ['/tile/0/000', '/tile/0/002.p/5', '/checkpoint']) {
      const first = await get(path);
      const tag = first.headers.get('etag') ?? '';
      expect(tag).toMatch(/^"[\w-]+"$/);
      const again = await get(path, { 'if-none-match': `"other", ${tag}` });
      expect([path, again.status, again.body.length]).toEqual([path, 304, 0]);
      expect(again.headers.get('cache-control')).toBe(first.headers.get('cache-control'));
      expect((await get(path, { 'if-none-match': '"other"' })).status).toBe(200);
    }
  });
});

describe('entry bundles', () => {
  it('hold the exact bytes of the entries, each with its length', async () => {
    const headers = await as(people.auditor);
    const full = await get('/tile/entries/001', headers);
    expect(full.status).toBe(200);
    expect(full.headers.get('content-type')).toBe('application/octet-stream');
    expect(full.headers.get('cache-control')).toBe('private, max-age=31536000, immutable');
    const tile = await get('/tile/0/001');
    expect(Buffer.concat(entriesIn(full.body).map((entry) => leafHash(entry)))).toEqual(tile.body);
    const partial = await get('/tile/entries/002.p/7', headers);
    expect(entriesIn(partial.body)).toHaveLength(7);
    expect(partial.headers.get('cache-control')).toBe('private, max-age=60');
  });

  it('come compressed to whoever takes them so', async () => {
    const headers = { ...(await as(people.auditor)), 'accept-encoding': 'br, gzip;q=0.5' };
    const plain = await get('/tile/entries/000', await as(people.auditor));
    const { request } = await import('node:http');
    const raw = await new Promise<{
      body: Buffer;
      encoding: unknown;
      vary: unknown;
      etag: unknown;
    }>((resolve, reject) => {
      request(`${test.url}/api/v1/log/tile/entries/000`, { headers }, (res) => {
        const chunks: Buffer[] = [];
        res.on('data', (chunk: Buffer) => chunks.push(chunk));
        res.on('end', () =>
          resolve({
            body: Buffer.concat(chunks),
            encoding: res.headers['content-encoding'],
            vary: res.headers.vary,
            etag: res.headers.etag,
          }),
        );
      })
        .on('error', reject)
        .end();
    });
    expect([raw.encoding, raw.vary]).toEqual(['gzip', 'accept-encoding']);
    expect(raw.etag).not.toBe(plain.headers.get('etag'));
    expect(raw.body.length).toBeLessThan(plain.body.length / 2);
    expect(gunzipSync(raw.body)).toEqual(plain.body);
    const refused = await get('/tile/entries/000', {
      ...(await as(people.auditor)),
      'accept-encoding': 'gzip;q=0',
    });
    expect(refused.headers.get('content-encoding')).toBeNull();
  });

  it('are for those who may read the whole log, and nobody of a partner', async () => {
    expect((await get('/tile/entries/000', await as(people.outsideAuditor))).status).toBe(200);
    expect((await get('/tile/entries/000')).status).toBe(401);
    for (const who of [people.lead, people.researcher, people.partnerAuditor, people.otherLead]) {
      const answer = await get('/tile/entries/000', await as(who));
      expect([who.id, answer.status]).toEqual([who.id, 403]);
    }
  });

  it('end with what the latest checkpoint covers', async () => {
    const headers = await as(people.auditor);
    const width = size % 256;
    for (const path of [
      `/tile/entries/002.p/${width + 100}`,
      '/tile/entries/002',
      '/tile/entries/003.p/1',
      '/tile/entries/002.p/0',
      '/tile/entries/2',
      '/tile/entries/x000/002',
    ])
      expect([path, (await get(path, headers)).status]).toEqual([path, 404]);
  });

  it('are read on record: the first time at once, and what follows within ten minutes together', async () => {
    clock.now += 11 * MINUTE;
    await test.broker.bundleReadings.flush();
    const before = readings().length;
    // The tokens of before have run out.
    api = new Api(test);
    const headers = await as(people.outsideAuditor);
    await get('/tile/entries/001', headers);
    const began = readings().slice(before);
    expect(began).toMatchObject([
      { actor: { person: people.outsideAuditor.id }, data: { from: 256, to: 512, bundles: 1 } },
    ]);
    for (const path of ['/tile/entries/000', '/tile/entries/001', '/tile/entries/000.p/9'])
      expect((await get(path, headers)).status).toBe(200);
    await test.broker.bundleReadings.flush();
    expect(readings()).toHaveLength(before + 1);
    clock.now += 11 * MINUTE;
    await test.broker.bundleReadings.flush();
    expect(readings().slice(before + 1)).toMatchObject([
      { actor: { person: people.outsideAuditor.id }, data: { from: 0, to: 512, bundles: 3 } },
    ]);
    // There is nothing more to record.
    clock.now += 11 * MINUTE;
    await test.broker.bundleReadings.flush();
    expect(readings()).toHaveLength(before + 2);
  });
});
