import Database from 'better-sqlite3';
import { execFileSync } from 'node:child_process';
import { mkdirSync, renameSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { admitRequest } from '../../src/broker/admit-request.ts';
import type { Broker } from '../../src/broker/broker.ts';
import { Cancellation } from '../../src/lib/cancellation.ts';
import { LiveRequests } from '../../src/broker/live-requests.ts';
import { Policy } from '../../src/broker/policy.ts';
import { NOTHING_CONFIGURED } from '../../src/core/configured.ts';
import { MOST_SINGLY, RepeatedDenials } from '../../src/broker/repeated-denials.ts';
import { Settler } from '../../src/broker/settle-request.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { createLogger } from '../../src/lib/log.ts';
import { DATABASE_FILE } from '../../src/store/database.ts';
import { HeldWriter } from '../support/held-writer.ts';
import {
  anEntry,
  by,
  entriesOf,
  makeDataDirectory,
  makeWorld,
  openThreadStore,
  factsOf,
  reserveArgs,
  tally,
  type ThreadStore,
} from '../support/store.ts';

const UNAVAILABLE = { refusal: { code: 'log_unavailable' } };

const record = (it: ThreadStore, note = ''): Promise<{ index: number }> =>
  it.write('recordEntry', anEntry(Date.now(), { data: { note } }));

/** Waits until something holds, however slow the machine is. */
const eventually = (check: () => void): Promise<void> =>
  vi.waitFor(check, { timeout: 10_000, interval: 5 });

/** What the log holds is numbered from 0 on, with nothing left out. */
function expectNoGaps(it: ThreadStore): void {
  const indices = entriesOf(it.readers).map(({ index }) => index);
  expect(indices).toEqual(indices.map((_index, i) => i));
}

describe('a database that is taken away under the running writer', () => {
  test.each([
    ['deleted', (path: string) => rmSync(path)],
    ['moved', (path: string) => renameSync(path, `${path}.old`)],
    [
      'replaced by an empty one',
      (path: string): void => {
        rmSync(path);
        new Database(path).close();
      },
    ],
  ])('%s: the next write is refused, and the broker has to stop', async (_how, take) => {
    const directory = makeDataDirectory();
    const it = await openThreadStore(directory);
    await record(it);
    take(join(directory, DATABASE_FILE));
    await expect(record(it)).rejects.toMatchObject(UNAVAILABLE);
    expect(it.fatal).toHaveLength(1);
    expect(it.fatal[0]).toMatch(/was deleted or replaced/);
    // From here on nothing is even tried.
    await expect(record(it)).rejects.toMatchObject(UNAVAILABLE);
    expect(it.store.isWritable).toBe(false);
  });

  test('whoever subscribes after that hears of it, too', async () => {
    const directory = makeDataDirectory();
    const it = await openThreadStore(directory);
    rmSync(join(directory, DATABASE_FILE));
    await record(it).catch(() => undefined);
    const heard: string[] = [];
    it.store.subscribe({ onPolicyChanged: () => undefined, onFatal: (why) => heard.push(why) });
    expect(heard).toHaveLength(1);
  });
});

/** A disk of its own, of so many bytes; undefined where this user may not mount one. */
function mountSmallDisk(bytes: number): string | undefined {
  const path = join(makeDataDirectory(), 'disk');
  mkdirSync(path);
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes},mode=0700`, 'tmpfs', path], {
      stdio: 'pipe',
    });
  } catch {
    // oxlint-disable-next-line no-console -- whoever reads the results must know
    console.warn(
      'SKIPPED: the test of a full disk needs to mount a tmpfs, which is not allowed here',
    );
    return undefined;
  }
  onTestFinished(() => void execFileSync('umount', ['--lazy', path]));
  mkdirSync(join(path, 'keys'), { mode: 0o700 });
  return path;
}

test('a full disk: writes are refused until there is room, and nothing has to be restarted', async (context) => {
  const directory = mountSmallDisk(6 * 1024 * 1024);
  if (directory === undefined) return context.skip();
  const it = await openThreadStore(directory);
  const world = await makeWorld(it.write, Date.now());
  const ballast = join(directory, 'ballast');
  const { bavail, bsize } = statfsSync(directory);
  writeFileSync(ballast, Buffer.alloc((bavail - 8) * bsize));

  const written: number[] = [];
  // Whatever room the log had left is used up by this much at most.
  const fill = async (): Promise<void> => {
    for (let i = 0; i < 1_000; i += 1) {
      const { index } = await record(it, 'x'.repeat(20_000));
      written.push(index);
    }
  };
  await expect(fill()).rejects.toMatchObject(UNAVAILABLE);
  expect(it.store.isWritable).toBe(false);
  const reserve = (): Promise<{ stale: boolean }> =>
    it.write('reserve', {
      ...reserveArgs(world, {
        epoch: it.epoch(),
        at: Date.now(),
        budgets: { requests: 1 },
        data: `"note":"${'x'.repeat(40_000)}"`,
      }),
    });
  await expect(reserve()).rejects.toMatchObject(UNAVAILABLE);
  expect(it.fatal).toEqual([]);

  rmSync(ballast);
  const { index } = await record(it);
  expect(it.store.isWritable).toBe(true);
  // The budget for one request was not spent on the one that could not be recorded.
  await expect(reserve()).resolves.toMatchObject({ stale: false, intentIndex: index + 1 });
  await it.store.caughtUp();
  expectNoGaps(it);
  const indices = new Set(entriesOf(it.readers).map((entry) => entry.index));
  expect(written.every((one) => indices.has(one))).toBe(true);
  // The log as it is now can be signed for.
  const { size } = await it.write('publishCheckpoint', { at: Date.now() });
  expect(size).toBe(index + 2);
});

describe('a database that somebody else has locked', () => {
  test('writes are refused while it is, and pass when it is not', async () => {
    const directory = makeDataDirectory();
    const it = await openThreadStore(directory);
    await record(it);
    const other = new Database(join(directory, DATABASE_FILE));
    other.exec('BEGIN EXCLUSIVE');
    expect(await tally([record(it), record(it), record(it)])).toEqual({ log_unavailable: 3 });
    other.exec('ROLLBACK');
    other.close();
    await expect(record(it)).resolves.toEqual({ index: 1 });
    expect(it.fatal).toEqual([]);
    expectNoGaps(it);
  });
});

describe('known failure 8: a disk that hangs', () => {
  let held: HeldWriter | undefined;

  // Without this a test that fails would leave a thread that nobody can end.
  afterEach(() => held?.release());

  async function open(): Promise<{ it: ThreadStore; disk: HeldWriter }> {
    const directory = makeDataDirectory();
    const disk = new HeldWriter(directory);
    held = disk;
    return { it: await openThreadStore(directory, disk.thread, disk.settings), disk };
  }

  /** Holds a write in its commit until its caller has been told that it failed: a second later at most, if not said. */
  async function untilRefused(
    disk: HeldWriter,
    write: () => Promise<unknown>,
    withinMs = 1_000,
  ): Promise<void> {
    // The test's own second: the machine's could be a slow one.
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    try {
      disk.hold();
      const result = write();
      await disk.isHanging();
      vi.advanceTimersByTime(withinMs);
      await expect(result).rejects.toMatchObject(UNAVAILABLE);
    } finally {
      vi.useRealTimers();
    }
  }

  test('callers are told within a second, and may try again later', async () => {
    const { it, disk } = await open();
    await untilRefused(disk, () => record(it));
    expect(it.store.isWritable).toBe(false);
    disk.release();
    await expect(record(it)).resolves.toEqual({ index: 1 });
  });

  test('whoever takes access away is told after ten seconds', async () => {
    const { it, disk } = await open();
    const { safety, researcher } = await makeWorld(it.write, Date.now());
    const end = () =>
      it.write('revokeTokens', {
        by: by(safety, Date.now()),
        selection: { person: researcher },
      });
    let refused = false;
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    try {
      disk.hold();
      const result = end().catch((error: unknown) => {
        refused = true;
        return error;
      });
      await disk.isHanging();
      await vi.advanceTimersByTimeAsync(9_999);
      expect(refused).toBe(false);
      await vi.advanceTimersByTimeAsync(1);
      expect(await result).toMatchObject(UNAVAILABLE);
    } finally {
      vi.useRealTimers();
    }
  });

  test('what waited behind it is not begun after its callers were told that it failed', async () => {
    const { it, disk } = await open();
    await record(it);
    disk.hold();
    const first = record(it, 'in the commit that hangs');
    await disk.isHanging();
    const queued = [record(it, 'behind it'), record(it, 'behind it')];
    // The disk hangs still when these are answered.
    expect(await tally([first, ...queued])).toEqual({ log_unavailable: 3 });
    expect(it.store.isWritable).toBe(false);
    disk.release();
    await expect(record(it)).resolves.toEqual({ index: 2 });
    expect(it.store.isWritable).toBe(true);
    // What was in the commit was recorded after all; what its callers were told had failed was not begun.
    expect(entriesOf(it.readers).map(({ data }) => data?.['note'])).toEqual([
      '',
      'in the commit that hangs',
      '',
    ]);
  });

  test('what comes late is handed to whoever asked for that', async () => {
    const { it, disk } = await open();
    const late = vi.fn<(value: { index: number }) => void>();
    await untilRefused(disk, () => it.store.write('recordEntry', anEntry(Date.now()), { late }));
    expect(late).not.toHaveBeenCalled();
    disk.release();
    await eventually(() => expect(late).toHaveBeenCalledWith({ index: 0 }));
  });

  test('changes of policy that come late are applied all the same', async () => {
    const { it, disk } = await open();
    const { safety, grant } = await makeWorld(it.write, Date.now());
    it.changes.length = 0;
    const at = Date.now();
    const id = `ord_${'0'.repeat(26)}`;
    const suspend = (): Promise<unknown> =>
      it.write('issueOrder', {
        by: { actorId: safety, at, entryId: `ent_${'0'.repeat(26)}` },
        id,
        spec: {
          level: 4,
          selector: { grant: grant.id },
          grounds: 'x',
          measures: {},
          authority: { kind: 'officer' },
        },
        concerned: [],
        recalled: [],
      });
    await untilRefused(disk, suspend, 10_000);
    expect(it.changes).toEqual([]);
    disk.release();
    await eventually(() => expect(it.changes).toMatchObject([{ kind: 'order', value: { id } }]));
  });

  test('refusals that were counted wait for it, and are recorded once', async () => {
    const { it, disk } = await open();
    const { store, readers } = it;
    let now = Date.now() + 3_600_000;
    const log = createLogger({ level: 'silent' });
    const denials = new RepeatedDenials({ store, clock: () => now, log });
    onTestFinished(() => denials.close());
    const token = `tok_${'0'.repeat(26)}`;
    for (let i = 0; i <= MOST_SINGLY; i += 1)
      if (!denials.take(token)) denials.count({ actor: { system: 'broker' }, token }, 'too_busy');
    now += 60_000;
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    try {
      disk.hold();
      void denials.flush();
      await disk.isHanging();
      await vi.advanceTimersByTimeAsync(60_000);
    } finally {
      vi.useRealTimers();
    }
    disk.release();
    await denials.flush();
    await denials.flush();
    expect(entriesOf(readers)).toMatchObject([
      { kind: 'request.denied_repeatedly', token, data: { counts: { too_busy: 1 } } },
    ]);
  });

  test('a reservation that comes late is given back: nothing was forwarded for it', async () => {
    const { it, disk } = await open();
    const world = await makeWorld(it.write, Date.now());
    const clock = systemClock;
    const live = new LiveRequests(clock);
    const log = createLogger({ level: 'silent' });
    const { store, readers } = it;
    const broker = {
      store,
      live,
      clock,
      log,
      policy: new Policy(readers.readPolicy(clock()), it.epoch(), new Map()),
      configured: NOTHING_CONFIGURED,
      settler: new Settler({ store, clock, log }),
      repeatedDenials: new RepeatedDenials({ store, clock, log }),
    } as unknown as Broker;
    const { amount, salt } = reserveArgs(world, { epoch: it.epoch(), at: clock() });
    const facts = factsOf(world, { at: clock() });
    const token = {
      id: facts.tokenId,
      audience: 'gateway' as const,
      personId: facts.personId,
      kid: 'kid',
      grantId: facts.grantId,
      expiresAt: clock() + 60_000,
      revokedAt: null,
      runId: null,
      purpose: null,
      jkt: null,
      narrowing: null,
    };
    broker.policy.apply([{ kind: 'token', value: token }], it.epoch());

    await untilRefused(disk, () =>
      admitRequest(broker, {
        facts,
        amount,
        salt,
        address: '192.0.2.7',
        data: '',
        cancellation: new Cancellation(),
      }),
    );
    expect(live.count).toBe(0);
    disk.release();
    await eventually(() =>
      expect(readers.readRequests([facts.requestId])).toMatchObject([
        { state: 'settled', requests: 0, tokensCharged: 0, spendChargedNano: 0 },
      ]),
    );
    expect(readers.readCharges(world.grant.id)[0]?.charged).toEqual({
      requestsSettled: 0,
      requestsReserved: 0,
      tokensSettled: 0,
      tokensReserved: 0,
      spendSettledNanoUsd: 0,
      spendReservedNanoUsd: 0,
    });
    const entries = entriesOf(readers).filter(({ ref }) => ref === facts.requestId);
    expect(entries).toMatchObject([
      { kind: 'request.intent' },
      { kind: 'request.outcome', data: { end: 'not_forwarded' } },
    ]);
  });
});
