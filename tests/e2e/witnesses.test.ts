import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, it, vi } from 'vitest';
import { openCheckpoint } from '../../src/core/audit/checkpoint.ts';
import { anyOf, witnessing } from '../../src/core/audit/witnessing.ts';
import { mintId } from '../../src/lib/ids.ts';
import { entriesIn } from '../support/replayed.ts';
import { openForReading } from '../../src/store/database.ts';
import { newCli } from '../cli/run-cli.ts';
import { Api } from '../support/api.ts';
import { makePeople } from '../support/people.ts';
import { startTestBroker, type TestBroker } from '../support/test-broker.ts';
import { keysInAdvance } from '../support/witnesses.ts';

/** One of two labs that watch each other's logs. */
interface Side {
  origin: string;
  dataDir: string;
  port: number;
  keys: { log: string; witness: string };
  test: TestBroker | undefined;
}

const folders: string[] = [];
const running: Side[] = [];

afterEach(async () => {
  for (const side of running.splice(0)) await side.test?.close();
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'sallyport-witnesses-'));
  folders.push(folder);
  return folder;
}

async function newSide(name: string): Promise<Side> {
  const port = await freePort();
  const origin = `${name}.example/log`;
  const dataDir = join(newFolder(), 'data');
  const side: Side = { origin, dataDir, port, keys: { log: '', witness: '' }, test: undefined };
  side.keys = keysInAdvance(dataDir, origin);
  running.push(side);
  return side;
}

/** Each is to know the other's address before that runs. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => void server.close(resolve));
  return port;
}

async function start(side: Side, other: Side): Promise<TestBroker> {
  side.test = await startTestBroker({
    origin: side.origin,
    dataDir: side.dataDir,
    server: { port: side.port },
    witnesses: [
      {
        name: 'partner',
        url: `http://127.0.0.1:${other.port}/witness`,
        verifierKey: other.keys.witness,
      },
    ],
    witnessPolicy: { needed: 1 },
    witnessed: [{ origin: other.origin, verifierKeys: [other.keys.log] }],
    witnessing: {
      askEverySeconds: 0.1,
      allowInsecureLoopback: true,
      callsPerMinute: 100_000,
    },
  });
  return side.test;
}

async function stop(side: Side): Promise<void> {
  await side.test?.close();
  side.test = undefined;
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

const witnessed = async ({ url }: TestBroker): Promise<string> =>
  (await fetch(`${url}/api/v1/log/checkpoint/witnessed`)).text();

/** Waits until a checkpoint of at least so many entries is witnessed. */
const witnessedUpTo = (side: Side, size: number): Promise<string> =>
  vi.waitFor(
    async () => {
      const note = await witnessed(side.test as TestBroker);
      expect(openCheckpoint(note, side.keys.log).size).toBeGreaterThanOrEqual(size);
      return note;
    },
    { timeout: 20_000, interval: 50 },
  );

interface Shown {
  witnesses: { failure: string | null; cosignedSize: number | null; problem: string | null }[];
}

const shownBy = async ({ url }: TestBroker): Promise<Shown> =>
  (await (await fetch(`${url}/api/v1/log/witnesses`)).json()) as Shown;

const failureOf = (test: TestBroker, expected: string): Promise<void> =>
  vi.waitFor(
    async () => expect((await shownBy(test)).witnesses.map((w) => w.failure)).toEqual([expected]),
    { timeout: 20_000, interval: 50 },
  );

/** Kinds of the entries of a log that is closed. */
function kindsIn({ dataDir }: Side): string[] {
  const db = openForReading(join(dataDir, 'sallyport.db'));
  try {
    return entriesIn(db).map((bytes) => (JSON.parse(String(bytes)) as { kind: string }).kind);
  } finally {
    db.$client.close();
  }
}

it('two brokers are witnesses of each other: each has its checkpoints cosigned, and neither log grows by that', async () => {
  const [here, there] = [await newSide('here'), await newSide('there')];
  const one = await start(here, there);
  const two = await start(there, here);
  const people = await makePeople(one);
  const sizes = [await grow(one, 20), await grow(two, 5)];
  const notes = [
    await witnessedUpTo(here, sizes[0] ?? 0),
    await witnessedUpTo(there, sizes[1] ?? 0),
  ];
  const policies = [there, here].map(({ keys }) =>
    anyOf([{ name: 'partner', verifierKey: keys.witness }], 1),
  );
  for (const [i, note] of notes.entries()) {
    const policy = policies[i];
    if (!policy) throw new Error('There are two.');
    expect(witnessing(note, policy)).toMatchObject({
      isWitnessed: true,
      signed: [{ name: 'partner' }],
      bad: [],
    });
  }
  // A bundle up to the newest witnessed checkpoint carries the cosignatures.
  const token = await new Api(one).tokenOf(people.auditor);
  const exported = await fetch(`${one.url}/api/v1/exports`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ witnessed: true }),
  });
  const bundle = join(newFolder(), 'evidence.tar');
  writeFileSync(bundle, Buffer.from(await exported.arrayBuffer()));
  const cli = newCli();
  const given = ['--key', here.keys.log, '--witness', there.keys.witness];
  const checked = await cli.run('audit', 'verify', bundle, ...given);
  expect(checked).toMatchObject({ code: 0 });
  expect(checked.out).toContain('cosigned by there.example/log/witness');
  cli.remove();
  // Watching is no event of the log, or two that watch each other would never rest.
  await vi.waitFor(
    async () => {
      const before = [one, two].map(({ broker }) => broker.readers.logSize());
      await new Promise((resolve) => void setTimeout(resolve, 2_500));
      expect([one, two].map(({ broker }) => broker.readers.logSize())).toEqual(before);
    },
    { timeout: 20_000 },
  );
});

it('one that is down holds up nobody: the other goes on, and says which witness it lacks', async () => {
  const [here, there] = [await newSide('here'), await newSide('there')];
  const one = await start(here, there);
  await start(there, here);
  await witnessedUpTo(here, await grow(one, 3));
  await stop(there);
  const before = Date.now();
  const size = await grow(one, 50);
  expect(Date.now() - before).toBeLessThan(5_000);
  await failureOf(one, 'unreachable');
  expect(openCheckpoint(await witnessed(one), here.keys.log).size).toBeLessThan(size);
  expect(await (await fetch(`${one.url}/readyz`)).json()).toMatchObject({ status: 'ready' });

  await start(there, here);
  const note = await witnessedUpTo(here, size);
  expect(note).toContain('there.example/log/witness');
  expect((await shownBy(one)).witnesses[0]).toMatchObject({ failure: null, problem: null });
});

it('one that was rolled back to an older copy of its data is told by its witness, which signs nothing of the other history', async () => {
  const [here, there] = [await newSide('here'), await newSide('there')];
  const two = await start(there, here);
  let one = await start(here, there);
  await witnessedUpTo(here, await grow(one, 3));
  await stop(here);
  const copy = join(newFolder(), 'copy');
  cpSync(here.dataDir, copy, { recursive: true });

  one = await start(here, there);
  const signed = await grow(one, 30);
  await witnessedUpTo(here, signed);
  await stop(here);
  rmSync(here.dataDir, { recursive: true });
  cpSync(copy, here.dataDir, { recursive: true });

  one = await start(here, there);
  await failureOf(one, 'behind');
  const known = (): number => two.broker.readers.readWatched(here.origin)?.size ?? 0;
  const largest = known();
  expect(largest).toBeGreaterThanOrEqual(signed);

  // Past the size that the witness knows, with other entries than those that it saw.
  await grow(one, largest);
  await failureOf(one, 'inconsistent');
  expect(known()).toBe(largest);
  await vi.waitFor(() => {
    const [found] = two.broker.readers.listSplitViews({ after: undefined, limit: 9 }, {});
    expect(found).toMatchObject({ origin: here.origin, source: 'witness' });
  });
  await stop(here);
  await stop(there);
  expect(kindsIn(here)).toContain('log.behind');
  expect(kindsIn(there)).toContain('log.split_view');
});
