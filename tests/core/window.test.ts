import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { TrailingWindow, dayWindow, minuteWindow } from '../../src/core/window.ts';

const START = 1_700_000_000_000;

const held = (window: TrailingWindow, now: number): { requests: number; tokens: number } => {
  const { requests, tokens } = window.use(now);
  return { requests, tokens };
};

describe('a trailing window', () => {
  test('counts what was added until its bucket has left whole', () => {
    const window = new TrailingWindow(1000, 100, 100);
    window.add(START + 40, 1, 7);
    expect(held(window, START + 40)).toEqual({ requests: 1, tokens: 7 });
    expect(held(window, START + 1099)).toEqual({ requests: 1, tokens: 7 });
    expect(held(window, START + 1100)).toEqual({ requests: 0, tokens: 0 });
  });

  test('where times are known to the millisecond, lets a bucket leave with its last member', () => {
    const window = new TrailingWindow(1000, 100, 1);
    window.add(START, 1, 10);
    window.add(START + 40, 1, 10);
    expect(window.use(START + 40).msUntilRequestsAtMost(1)).toBe(1001);
    expect(held(window, START + 1040)).toEqual({ requests: 2, tokens: 20 });
    expect(held(window, START + 1041)).toEqual({ requests: 0, tokens: 0 });
    // Nobody is told to wait longer than a minute: SDKs heed no longer Retry-After.
    const minute = minuteWindow();
    minute.add(START, 1, 10);
    expect(minute.use(START + 1).msUntilRequestsAtMost(0)).toBe(60_000);
  });

  test('does not forget at the boundaries of the clock', () => {
    const window = minuteWindow();
    const endOfMinute = Math.ceil(START / 60_000) * 60_000 - 1;
    window.add(endOfMinute, 5, 50);
    expect(held(window, endOfMinute + 2)).toEqual({ requests: 5, tokens: 50 });
    expect(held(window, endOfMinute + 59_999)).toEqual({ requests: 5, tokens: 50 });
  });

  test('takes back what settled for less, in the bucket where it was reserved', () => {
    const window = new TrailingWindow(1000, 100, 100);
    window.add(START, 1, 100);
    window.add(START + 500, 1, 50);
    window.add(START, 0, -80);
    expect(held(window, START + 600)).toEqual({ requests: 2, tokens: 70 });
    expect(held(window, START + 1100)).toEqual({ requests: 1, tokens: 50 });
    expect(held(window, START + 1600)).toEqual({ requests: 0, tokens: 0 });
  });

  test('does not subtract what is in it no more', () => {
    const window = new TrailingWindow(1000, 100, 100);
    window.add(START, 1, 100);
    window.add(START + 2000, 1, 30);
    expect(held(window, START + 2000)).toEqual({ requests: 1, tokens: 30 });
    window.add(START, -1, -100);
    expect(held(window, START + 2000)).toEqual({ requests: 1, tokens: 30 });
  });

  test('keeps counting when the clock goes back', () => {
    const window = minuteWindow();
    window.add(START + 10_000, 1, 10);
    window.add(START, 1, 10);
    expect(held(window, START)).toEqual({ requests: 2, tokens: 20 });
    // Each leaves by the time it was added at, in whatever order they came.
    expect(held(window, START + 60_250)).toEqual({ requests: 1, tokens: 10 });
    expect(held(window, START + 70_250)).toEqual({ requests: 0, tokens: 0 });
  });

  test('does not owe anything for what it forgot before the clock went back', () => {
    const window = new TrailingWindow(1000, 100, 100);
    window.add(START, 1, 100);
    expect(held(window, START + 2000)).toEqual({ requests: 0, tokens: 0 });
    window.add(START, -1, -100);
    expect(held(window, START + 500)).toEqual({ requests: 0, tokens: 0 });
  });

  test('tells when enough will have left', () => {
    const window = new TrailingWindow(1000, 100, 100);
    window.add(START, 1, 10);
    window.add(START + 500, 2, 20);
    const use = window.use(START + 500);
    expect(use.msUntilRequestsAtMost(3)).toBe(0);
    expect(use.msUntilRequestsAtMost(2)).toBe(600);
    expect(use.msUntilRequestsAtMost(1)).toBe(1100);
    expect(use.msUntilTokensAtMost(20)).toBe(600);
    expect(use.msUntilTokensAtMost(0)).toBe(1100);
    // What can never be, such as room for more than the limit, is at least not now.
    expect(use.msUntilTokensAtMost(-1)).toBe(1000);
  });

  test('holds at any moment what a naive log holds, and at most one bucket more', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.record({
            wait: fc.integer({ min: 0, max: 400 }),
            requests: fc.integer({ min: 0, max: 3 }),
            tokens: fc.integer({ min: 0, max: 50 }),
            back: fc.option(fc.nat(), { freq: 2 }),
          }),
          { maxLength: 120 },
        ),
        (steps) => {
          const window = new TrailingWindow(1000, 100, 100);
          const log: { at: number; tokens: number }[] = [];
          let now = START;
          for (const { wait, requests, tokens, back } of steps) {
            now += wait;
            window.add(now, requests, tokens);
            log.push({ at: now, tokens });
            const settled = back === null ? undefined : log[back % log.length];
            if (settled) {
              window.add(settled.at, 0, -settled.tokens);
              settled.tokens = 0;
            }
            const within = (span: number): number =>
              log.reduce((sum, entry) => sum + (entry.at > now - span ? entry.tokens : 0), 0);
            const got = window.use(now).tokens;
            expect(got).toBeGreaterThanOrEqual(within(1000));
            expect(got).toBeLessThanOrEqual(within(1100));
          }
        },
      ),
    );
  });
});

test('a day of buckets leaves a window in one go, not one by one', () => {
  // What a busy grant leaves behind, seen after a restart: one by one, this took more than a minute.
  const window = minuteWindow();
  for (let i = 0; i < 345_600; i += 1) window.add(START + i * 250, 1, 1);
  expect(held(window, START + 345_600 * 250 + 60_250)).toEqual({ requests: 0, tokens: 0 });
}, 10_000);

test('a day is any 24 hours', () => {
  const window = dayWindow();
  window.add(START, 1, 1);
  expect(window.use(START + 86_399_999).requests).toBe(1);
  expect(window.use(START + 86_400_000 + 60_000).requests).toBe(0);
});
