import { beforeEach, describe, expect, test, vi } from 'vitest';
import { FailureBrake } from '../../src/broker/failure-brake.ts';
import { RefusedError, type Refusal } from '../../src/core/denials.ts';

/** Waits that were begun, in order; each lasts until it is let go. */
const waits = vi.hoisted(() => [] as { ms: number; letGo: () => void }[]);
vi.mock('node:timers/promises', () => ({
  setTimeout: (ms: number) =>
    new Promise<void>((resolve) => waits.push({ ms, letGo: () => resolve() })),
}));

const MINUTE = 60_000;
const MOST = 20;
const START = 1_750_000_000_000;
const ME = '192.0.2.1';

let now: number;
let brake: FailureBrake;

beforeEach(() => {
  now = START;
  waits.length = 0;
  brake = new FailureBrake(() => now, { longestHoldMs: 4_000, mostOfAddress: MOST });
});

/** Fails and says for how long the answer is held back, without waiting for it. */
function holdOf(address: string, client?: string): number {
  const before = waits.length;
  void brake.hold(address, client);
  return waits[before]?.ms ?? 0;
}

function fail(times: number, address: string, client?: string): void {
  for (let i = 0; i < times; i += 1) holdOf(address, client);
}

function refusalOf(address: string): Refusal | undefined {
  try {
    brake.admit(address);
    return undefined;
  } catch (error) {
    if (error instanceof RefusedError) return error.refusal;
    throw error;
  }
}

describe('an answer to a failure', () => {
  const SCHEDULE = [0, 0, 0, 125, 250, 500, 1_000, 2_000, 4_000, 4_000, 4_000];

  test('is held back the longer, the more came from the address; never for longer than is set', () => {
    expect(SCHEDULE.map(() => holdOf(ME))).toEqual(SCHEDULE);
  });

  test('likewise for a name, from wherever it is tried', () => {
    expect(SCHEDULE.map((_, i) => holdOf(`192.0.2.${i}`, 'per_a'))).toEqual(SCHEDULE);
  });

  test('is held back for the worse of address and name', () => {
    fail(4, '198.51.100.1', 'per_a');
    fail(6, ME, 'per_b');
    expect(holdOf(ME, 'per_a')).toBe(1_000);
    expect(holdOf('203.0.113.1', 'per_a')).toBe(500);
  });

  test('comes when its time is over, and not before', async () => {
    fail(3, ME);
    let answered = false;
    const held = brake.hold(ME, undefined).then(() => (answered = true));
    await Promise.resolve();
    expect(answered).toBe(false);
    waits[0]?.letGo();
    await held;
    expect(answered).toBe(true);
  });

  test('to others, other addresses and other names, is not held back at all', () => {
    fail(15, ME, 'per_a');
    expect(holdOf('192.0.2.2', 'per_b')).toBe(0);
    expect(holdOf('192.0.2.3')).toBe(0);
  });

  test('is no longer held back once a minute has passed since the first', () => {
    fail(10, ME, 'per_a');
    now += MINUTE - 1;
    expect(holdOf(ME, 'per_a')).toBe(4_000);
    now += 1;
    expect(holdOf(ME, 'per_a')).toBe(0);
  });

  test('does not take more than a thousand that are held', () => {
    for (let i = 0; i < 1_100; i += 1) fail(1, `198.51.${i >> 8}.${i & 255}`, 'per_a');
    expect(waits).toHaveLength(1_000);
    // One that was answered makes room for another.
    waits[0]?.letGo();
    return Promise.resolve()
      .then(() => undefined)
      .then(() => expect(holdOf(ME, 'per_a')).toBe(4_000));
  });
});

describe('an address that fails without end', () => {
  test('is refused unheard until its minute is over, and told when that is', () => {
    fail(MOST - 1, ME);
    expect(refusalOf(ME)).toBeUndefined();
    now += 20_000;
    fail(1, ME);
    expect(refusalOf(ME)).toMatchObject({ code: 'too_many_failures', retryAfterMs: 40_000 });
    now += 39_999;
    expect(refusalOf(ME)).toMatchObject({ retryAfterMs: 1 });
    now += 1;
    expect(refusalOf(ME)).toBeUndefined();
    expect(holdOf(ME)).toBe(0);
  });

  test('locks out nobody else, and not the name that it tried', () => {
    fail(MOST * 2, ME, 'per_a');
    expect(refusalOf(ME)).toBeDefined();
    expect(refusalOf('192.0.2.2')).toBeUndefined();
    // However often a name is tried, from however many addresses, each of these is heard.
    for (let i = 0; i < MOST * 2; i += 1) fail(1, `198.51.100.${i}`, 'per_a');
    expect(refusalOf('198.51.100.1')).toBeUndefined();
  });

  test('is refused no longer where the clock is set back', () => {
    fail(MOST, ME);
    now -= 3_600_000;
    expect(refusalOf(ME)).toBeUndefined();
  });

  test('is not forgotten for the many names that it tries', () => {
    brake = new FailureBrake(() => now, { longestHoldMs: 0, mostOfAddress: 21_000 });
    for (let i = 0; i < 21_000; i += 1) void brake.hold(ME, `per_${i}`);
    expect(refusalOf(ME)).toBeDefined();
  });
});

describe('addresses of one subscriber', () => {
  test.each([
    ['2001:db8:1:2::1', '2001:db8:1:2:ffff:ffff:ffff:ffff'],
    ['2001:db8:1:2::1', '2001:0DB8:0001:0002:0:0:0:1'],
    ['2001:db8::1', '2001:db8::2'],
    ['fe80::1%eth0', 'fe80::2%eth0'],
    ['::1', '::2'],
    ['192.0.2.1', '::ffff:192.0.2.1'],
    ['192.0.2.1', '::ffff:c000:201'],
  ])('count together: %s and %s', (one, other) => {
    fail(MOST, one);
    expect(refusalOf(other)).toBeDefined();
  });

  test.each([
    ['2001:db8:1:2::1', '2001:db8:1:3::1'],
    ['2001:0:0:1::1', '2001:0:0:2::1'],
    ['2001::1:2:3:4:5', '2001::2:2:3:4:5'],
    ['::1:2:3:4:5', '::2:2:3:4:5'],
    ['192.0.2.1', '192.0.2.2'],
    ['::ffff:192.0.2.1', '::ffff:192.0.2.2'],
    ['what is no address', 'nor is this'],
  ])('and not with those of another: %s and %s', (one, other) => {
    fail(MOST, one);
    expect(refusalOf(one)).toBeDefined();
    expect(refusalOf(other)).toBeUndefined();
  });
});
