import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { beforeEach, describe, expect, test } from 'vitest';
import { IdleCollection } from '../../src/lib/idle-collection.ts';

setFlagsFromString('--expose-gc');
const collectNow = runInNewContext('gc') as () => void;
setFlagsFromString('--no-expose-gc');

/** Looks in a row after which it is idle. */
const QUIET_LOOKS = 3;

const MIB = 1 << 20;

/** What is pointed to weakly stays until the turn is over. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

let idle: IdleCollection;

beforeEach(() => {
  // Buffers that the first collects count until the second.
  collectNow();
  collectNow();
  idle = new IdleCollection();
});

/**
 * What a burst leaves, held and grown old, so that only a whole collection takes it: V8 has no reason of its own for
 * one here.
 */
async function makeOld(bytes: number, kind: 'heap' | 'buffers'): Promise<{ held: unknown }> {
  const held: unknown =
    kind === 'buffers'
      ? Array.from({ length: bytes / MIB }, () => Buffer.alloc(MIB))
      : Array.from({ length: bytes / 64 }, (_, i) => ({ i, a: i, b: i, c: i, d: i }));
  await turn();
  collectNow();
  collectNow();
  return { held };
}

/** The same, let go. */
async function leave(
  bytes: number,
  kind: 'heap' | 'buffers' = 'buffers',
): Promise<WeakRef<object>> {
  const burst = await makeOld(bytes, kind);
  const left = new WeakRef(burst.held as object);
  burst.held = undefined;
  await turn();
  return left;
}

async function isThere(left: WeakRef<object>): Promise<boolean> {
  await turn();
  const isLeft = left.deref() !== undefined;
  await turn();
  return isLeft;
}

describe('what a burst left', () => {
  test.each(['heap', 'buffers'] as const)('is collected after quiet looks: %s', async (kind) => {
    idle.look(7);
    const left = await leave(32 * MIB, kind);
    for (let i = 1; i < QUIET_LOOKS; i += 1) idle.look(7);
    expect(await isThere(left)).toBe(true);
    idle.look(7);
    expect(await isThere(left)).toBe(false);
  });

  test('stays as long as something is done between looks', async () => {
    const left = await leave(32 * MIB);
    let done = 0;
    for (let i = 0; i < 10; i += 1) {
      done += 1;
      for (let quiet = 0; quiet < QUIET_LOOKS; quiet += 1) idle.look(done);
    }
    expect(await isThere(left)).toBe(true);
    idle.look(done);
    expect(await isThere(left)).toBe(false);
  });

  test('stays while the thread is at something that takes long', async () => {
    const left = await leave(32 * MIB);
    for (let i = 0; i < 10; i += 1) idle.look(0, true);
    for (let i = 1; i < QUIET_LOOKS; i += 1) idle.look(0);
    idle.look(0, true);
    for (let i = 1; i < QUIET_LOOKS; i += 1) idle.look(0);
    expect(await isThere(left)).toBe(true);
    idle.look(0);
    expect(await isThere(left)).toBe(false);
  });

  test('stays where it is too little', async () => {
    const left = await leave(4 * MIB);
    for (let i = 0; i < 10; i += 1) idle.look(0);
    expect(await isThere(left)).toBe(true);
  });

  /** Whether what each of three bursts left is gone when the thread was quiet. */
  async function afterBursts(kind: 'heap' | 'buffers'): Promise<boolean[]> {
    const gone: boolean[] = [];
    for (let done = 1; done <= 3; done += 1) {
      idle.look(done);
      const left = await leave(32 * MIB, kind);
      for (let i = 0; i < QUIET_LOOKS; i += 1) idle.look(done);
      gone.push(!(await isThere(left)));
    }
    return gone;
  }

  test('is collected after each burst: buffers', async () => {
    expect(await afterBursts('buffers')).toEqual([true, true, true]);
  });

  test('is collected after each burst, once', async () => {
    expect(await afterBursts('heap')).toEqual([true, true, true]);
    // In one quiet time: what was left since waits for something to be done.
    const since = await leave(32 * MIB);
    for (let i = 0; i < 10; i += 1) idle.look(3);
    expect(await isThere(since)).toBe(true);
  });

  test('is measured against what is in use', async () => {
    const kept = await makeOld(48 * MIB, 'buffers');
    for (let i = 0; i < QUIET_LOOKS; i += 1) idle.look(0);
    // Nothing was to be had of that: little more is not worth another collection.
    const little = await leave(4 * MIB);
    for (let i = 0; i <= QUIET_LOOKS; i += 1) idle.look(1);
    expect(await isThere(little)).toBe(true);
    expect(kept.held).toHaveLength(48);
  });
});
