import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  ReceiptKeeper,
  type Kept,
  type KeeperParts,
} from '../../src/cli/connect/receipt-keeper.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const never = new AbortController().signal;

/** A keeper over a log that holds receipts of these requests. */
function keeperOf(log: Map<string, string>, changes: Partial<KeeperParts> = {}) {
  const kept = new Map<string, string>();
  const asked: string[][] = [];
  const troubles: unknown[] = [];
  const keeper = new ReceiptKeeper({
    ask: (requests) => {
      asked.push(requests);
      return Promise.resolve(
        new Map(requests.flatMap((id) => (log.has(id) ? [[id, log.get(id) ?? ''] as const] : []))),
      );
    },
    keep: (request, receipt) => {
      if (receipt === 'no receipt') return Promise.resolve('refused');
      kept.set(request, receipt);
      return Promise.resolve(receipt === 'whole' ? 'whole' : 'part');
    },
    onTrouble: (error) => troubles.push(error),
    ...changes,
  });
  return { keeper, kept, asked, troubles };
}

describe('receipts of calls', () => {
  it('are asked for together, a few seconds after the calls ended', async () => {
    const { keeper, kept, asked } = keeperOf(
      new Map([
        ['a', 'whole'],
        ['b', 'whole'],
      ]),
    );
    keeper.ended('a');
    keeper.ended('b');
    expect(asked).toEqual([]);
    await vi.advanceTimersByTimeAsync(3_000);
    expect(asked).toEqual([['a', 'b']]);
    expect([...kept.keys()]).toEqual(['a', 'b']);
    // Nothing is left to ask for.
    await vi.advanceTimersByTimeAsync(60_000);
    expect(asked).toHaveLength(1);
    expect(await keeper.stop(never)).toEqual({ kept: 2, absent: [], refused: [], left: [] });
  });

  it('are asked for again where the call has no outcome yet', async () => {
    const log = new Map([['a', 'intent alone']]);
    const { keeper, kept, asked } = keeperOf(log);
    keeper.ended('a');
    await vi.advanceTimersByTimeAsync(3_000);
    expect(kept.get('a')).toBe('intent alone');
    log.set('a', 'whole');
    await vi.advanceTimersByTimeAsync(3_000);
    expect(kept.get('a')).toBe('whole');
    expect(asked).toHaveLength(2);
  });

  it('are tried again, less and less often, while the broker is out of reach; that is said once', async () => {
    let isThere = false;
    const error = new Error('out of reach');
    const log = new Map([['a', 'whole']]);
    const ask = vi.fn<KeeperParts['ask']>(() =>
      isThere ? Promise.resolve(log) : Promise.reject(error),
    );
    const { keeper, kept, troubles } = keeperOf(log, { ask });
    keeper.ended('a');
    await vi.advanceTimersByTimeAsync(3_000 + 6_000 + 12_000);
    expect(ask).toHaveBeenCalledTimes(3);
    expect(troubles).toEqual([error]);
    isThere = true;
    await vi.advanceTimersByTimeAsync(24_000);
    expect(kept.get('a')).toBe('whole');
  });

  it('are not lost where they cannot be written', async () => {
    let isFull = true;
    const written: string[] = [];
    const keep = (request: string): Promise<'whole'> => {
      if (isFull) return Promise.reject(new Error('ENOSPC'));
      written.push(request);
      return Promise.resolve('whole');
    };
    const { keeper } = keeperOf(new Map([['a', 'whole']]), { keep });
    keeper.ended('a');
    await vi.advanceTimersByTimeAsync(3_000);
    isFull = false;
    await vi.advanceTimersByTimeAsync(6_000);
    expect(written).toEqual(['a']);
  });

  it('are given up where the log has none, and that is told at the end', async () => {
    const { keeper, asked } = keeperOf(new Map());
    keeper.ended('a');
    await vi.advanceTimersByTimeAsync(60_000);
    expect(asked).toHaveLength(4);
    expect(await keeper.stop(never)).toEqual({
      kept: 0,
      absent: ['a'],
      refused: [],
      left: [],
    });
  });

  it('are given up where what comes is none, without holding up the others', async () => {
    const { keeper, kept } = keeperOf(
      new Map([
        ['a', 'no receipt'],
        ['b', 'whole'],
      ]),
    );
    keeper.ended('a');
    keeper.ended('b');
    await vi.advanceTimersByTimeAsync(60_000);
    expect([...kept.keys()]).toEqual(['b']);
    expect(await keeper.stop(never)).toEqual({ kept: 1, absent: [], refused: ['a'], left: [] });
  });

  it('are asked for a hundred at a time', async () => {
    const ids = Array.from({ length: 250 }, (_, i) => `r${i}`);
    const { keeper, asked, kept } = keeperOf(new Map(ids.map((id) => [id, 'whole'])));
    for (const id of ids) keeper.ended(id);
    const stopped = keeper.stop(never);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(await stopped).toMatchObject({ kept: 250, left: [] });
    expect(asked.map(({ length }) => length)).toEqual([100, 100, 50]);
    expect(kept.size).toBe(250);
  });

  it('hold up the end for ten seconds at most, and those that are left are named', async () => {
    const hang = () => new Promise<never>(() => undefined);
    const { keeper } = keeperOf(new Map(), { ask: hang });
    keeper.ended('a');
    await vi.advanceTimersByTimeAsync(3_000);
    const stopped = vi.fn<(kept: Kept) => void>();
    void keeper.stop(never).then(stopped);
    await vi.advanceTimersByTimeAsync(9_000);
    expect(stopped).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(1_500);
    expect(stopped).toHaveBeenCalledWith({ kept: 0, absent: [], refused: [], left: ['a'] });
  });

  it('do not hold it up after a second signal', async () => {
    const at = new AbortController();
    const { keeper } = keeperOf(new Map(), { ask: () => Promise.reject(new Error('gone')) });
    keeper.ended('a');
    const stopped = keeper.stop(at.signal);
    at.abort();
    await vi.advanceTimersByTimeAsync(1);
    expect(await stopped).toMatchObject({ left: ['a'] });
  });
});
