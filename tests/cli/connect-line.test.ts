/** The line of `sallyport connect`: who goes when, and who never waits. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { LimitRefusal } from '../../src/cli/connect/limit-refusal.ts';
import { Line, MOST_WAITING, MOST_WAITING_BYTES, type Turn } from '../../src/cli/connect/line.ts';

const PER_MINUTE: LimitRefusal = {
  code: 'request_rate_limited',
  message: 'Wait.',
  relief: 'time',
  afterMs: 30_000,
};
const AT_ONCE: LimitRefusal = {
  code: 'concurrency_limited',
  message: 'Wait.',
  relief: 'request',
  afterMs: 1_000,
};

let line: Line;
/** The calls that are with the broker, by name, in the order in which they went there. */
let sent: string[];
let turns: Map<string, Turn>;
let waits: string[];
const gone = new Map<string, AbortController>();

beforeEach(() => {
  vi.useFakeTimers();
  newLine(120);
});
afterEach(() => void vi.useRealTimers());

function newLine(seconds: number): void {
  [sent, turns, waits] = [[], new Map(), []];
  line = new Line(seconds * 1000, {
    onWait: ({ code }) => void waits.push(code),
    onChange: () => undefined,
  });
}

/** Lets what has been settled be heard. */
const settled = (): Promise<unknown> => vi.advanceTimersByTimeAsync(0);

async function enter(...names: string[]): Promise<void> {
  for (const name of names) {
    const leaving = new AbortController();
    gone.set(name, leaving);
    line.enter(100, leaving.signal).then(
      (turn) => turns.set(name, turn) && sent.push(name),
      (error: unknown) => sent.push(`${name}: ${(error as Error).message}`),
    );
  }
  await settled();
}

const turn = (name: string): Turn => turns.get(name) as Turn;

/** The broker refuses a call; it is sent again when it may, or told. */
async function refuse(name: string, limit: LimitRefusal): Promise<void> {
  turn(name)
    .refused(limit)
    .then(
      (again) => sent.push(again ? `${name} again` : `${name} told`),
      (error: unknown) => sent.push(`${name}: ${(error as Error).message}`),
    );
  await settled();
}

async function end(name: string): Promise<void> {
  turn(name).admitted();
  turn(name).end();
  await settled();
}

describe('the places of a grant', () => {
  it('go to whoever came first, one for each that becomes free', async () => {
    line.allow(2);
    await enter('a', 'b', 'c', 'd', 'e');
    expect(sent).toEqual(['a', 'b']);
    await end('b');
    expect(sent).toEqual(['a', 'b', 'c']);
    await end('a');
    await end('c');
    expect(sent).toEqual(['a', 'b', 'c', 'd', 'e']);
    expect(line.waiting).toBe(0);
  });

  it('are as many as the grant says now', async () => {
    line.allow(1);
    await enter('a', 'b', 'c', 'd');
    line.allow(3);
    await settled();
    expect(sent).toEqual(['a', 'b', 'c']);
    line.allow(null);
    await settled();
    expect(sent).toHaveLength(4);
  });

  it('are not given back twice', async () => {
    line.allow(1);
    await enter('a', 'b', 'c');
    await end('a');
    await end('a');
    expect(sent).toEqual(['a', 'b']);
  });
});

describe('after a refusal', () => {
  it('everybody waits as long as the broker says, and then one asks alone', async () => {
    await enter('a', 'b', 'c');
    await refuse('a', PER_MINUTE);
    await refuse('b', PER_MINUTE);
    await enter('d');
    await vi.advanceTimersByTimeAsync(29_000);
    expect(sent).toEqual(['a', 'b', 'c']);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(sent.slice(3)).toEqual(['a again']);
    await refuse('a', PER_MINUTE);
    await vi.advanceTimersByTimeAsync(30_000);
    expect(sent.slice(3)).toEqual(['a again', 'a again']);
    turn('a').admitted();
    await settled();
    expect(sent.slice(5)).toEqual(['b again']);
    expect(waits).toHaveLength(3);
  });

  it('the older one asks, whichever was refused last', async () => {
    await enter('a', 'b');
    await refuse('b', PER_MINUTE);
    await refuse('a', PER_MINUTE);
    await vi.advanceTimersByTimeAsync(30_000);
    expect(sent.slice(2)).toEqual(['a again']);
  });

  it('what is not refused soon is taken for admitted: long answers hold up nobody', async () => {
    await enter('a', 'b', 'c');
    await refuse('a', PER_MINUTE);
    await refuse('b', PER_MINUTE);
    await refuse('c', PER_MINUTE);
    await vi.advanceTimersByTimeAsync(30_000);
    expect(sent.slice(3)).toEqual(['a again']);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(sent.slice(3)).toEqual(['a again', 'b again', 'c again']);
  });

  it('more and more ask at a time as they are admitted', async () => {
    const many = Array.from({ length: 40 }, (_, i) => `${i}`);
    await enter('first');
    await refuse('first', PER_MINUTE);
    await enter(...many);
    await vi.advanceTimersByTimeAsync(30_000);
    const counts: number[] = [];
    while (line.waiting > 0) {
      const before = sent.length;
      await vi.advanceTimersByTimeAsync(250);
      counts.push(sent.length - before);
    }
    expect(counts.slice(0, 4)).toEqual([1, 1, 1, 2]);
    expect(counts.length).toBeLessThan(20);
    expect(sent.slice(2)).toEqual(many);
  });

  it('for requests in flight, the end of one lets the next ask, however long the hint', async () => {
    await enter('a', 'b');
    await refuse('b', { ...AT_ONCE, afterMs: 60_000 });
    await end('a');
    expect(sent.slice(2)).toEqual(['b again']);
  });

  it('per minute, the end of a request changes nothing', async () => {
    await enter('a', 'b');
    await refuse('b', PER_MINUTE);
    await end('a');
    expect(sent.slice(2)).toEqual([]);
  });

  it('for both, both have to be over', async () => {
    await enter('a', 'b', 'c');
    await refuse('b', PER_MINUTE);
    await refuse('c', AT_ONCE);
    await vi.advanceTimersByTimeAsync(29_999);
    expect(sent.slice(3)).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(sent.slice(3)).toEqual(['b again']);
  });

  it('of a minute ago, nothing is left', async () => {
    await enter('a');
    await refuse('a', { ...AT_ONCE });
    await vi.advanceTimersByTimeAsync(61_001);
    await enter('b', 'c', 'd', 'e');
    expect(sent).toEqual(['a', 'a again', 'b', 'c', 'd', 'e']);
  });
});

describe('the longest wait', () => {
  it('is one in all: then the broker is asked, and its refusal told', async () => {
    newLine(40);
    await enter('a');
    await refuse('a', PER_MINUTE);
    await vi.advanceTimersByTimeAsync(30_000);
    await refuse('a', PER_MINUTE);
    expect(sent).toEqual(['a', 'a again', 'a told']);
  });

  it('ends in line, too', async () => {
    newLine(40);
    line.allow(1);
    await enter('a', 'b');
    await vi.advanceTimersByTimeAsync(39_999);
    expect(sent).toEqual(['a']);
    await vi.advanceTimersByTimeAsync(1);
    expect(sent).toEqual(['a', 'b']);
    await refuse('b', AT_ONCE);
    expect(sent).toEqual(['a', 'b', 'b told']);
  });

  it('is not begun where the limit lasts longer', async () => {
    newLine(10);
    await enter('a', 'b');
    await refuse('a', PER_MINUTE);
    expect(sent).toEqual(['a', 'b', 'a told']);
    await enter('c');
    expect(sent.at(-1)).toBe('c');
    expect(waits).toEqual([]);
  });

  it('of nothing is no line at all', async () => {
    newLine(0);
    line.allow(1);
    await enter('a', 'b', 'c');
    expect(sent).toEqual(['a', 'b', 'c']);
    await refuse('a', AT_ONCE);
    await enter('d');
    expect(sent.slice(3)).toEqual(['a told', 'd']);
    expect(line.waiting).toBe(0);
  });
});

describe('whoever goes away', () => {
  it('leaves the line at once, before it was sent or after', async () => {
    line.allow(2);
    await enter('a', 'b', 'c', 'd');
    await refuse('b', { ...AT_ONCE, afterMs: 60_000 });
    expect(line.waiting).toBe(3);
    gone.get('c')?.abort(new Error('gone'));
    gone.get('b')?.abort(new Error('gone'));
    await settled();
    expect(line.waiting).toBe(1);
    await end('a');
    expect(sent).toEqual(['a', 'b', 'c: gone', 'b: gone', 'd']);
  });

  it('does not enter it', async () => {
    const leaving = AbortSignal.abort(new Error('gone'));
    await expect(line.enter(1, leaving)).rejects.toThrow('gone');
    await enter('a');
    gone.get('a')?.abort(new Error('gone'));
    await refuse('a', PER_MINUTE);
    expect(sent).toEqual(['a', 'a: gone']);
    expect(line.waiting).toBe(0);
  });
});

describe('the bounds', () => {
  it('of how many wait: one more is passed on, and its refusal told', async () => {
    line.allow(1);
    await enter('first', ...Array.from({ length: MOST_WAITING }, (_, i) => `${i}`), 'last');
    expect(line.waiting).toBe(MOST_WAITING);
    expect(sent).toEqual(['first', 'last']);
    await refuse('last', AT_ONCE);
    expect(sent.at(-1)).toBe('last told');
  });

  it('of what they hold: what does not fit is passed on, and what does fit waits', async () => {
    const { signal } = new AbortController();
    line.allow(1);
    await line.enter(1, signal);
    const half = MOST_WAITING_BYTES / 2;
    void line.enter(half, signal);
    await line.enter(half + 1, signal);
    void line.enter(half, signal);
    expect(line.waiting).toBe(2);
  });
});

it('ends for all who wait, and nobody waits from then on', async () => {
  line.allow(1);
  await enter('a', 'b', 'c');
  line.stop();
  await settled();
  expect(sent).toEqual([
    'a',
    'b: "sallyport connect" is stopping. Start it again.',
    'c: "sallyport connect" is stopping. Start it again.',
  ]);
  await enter('d');
  expect(sent.at(-1)).toBe('d');
  await refuse('a', AT_ONCE);
  expect(sent.at(-1)).toBe('a told');
});
