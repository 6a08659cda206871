import { afterEach, describe, expect, test, vi } from 'vitest';
import { Cancellation, type CancellationListener } from '../../src/lib/cancellation.ts';

afterEach(() => void vi.restoreAllMocks());

const listener = (onCancelled: () => void): CancellationListener => ({ onCancelled });

describe('a cancellation', () => {
  test('is told to all who listen before it returns, in their order, with its reason', () => {
    const cancellation = new Cancellation();
    const reason = new Error('client gone');
    const heard: unknown[] = [];
    for (const name of ['a', 'b', 'c'])
      cancellation.listen(
        listener(() => heard.push([name, cancellation.isCancelled, cancellation.reason])),
      );
    expect([cancellation.isCancelled, cancellation.reason, heard]).toEqual([false, undefined, []]);
    cancellation.cancel(reason);
    expect(heard).toEqual(['a', 'b', 'c'].map((name) => [name, true, reason]));
    expect(cancellation.reason).toBe(reason);
  });

  test('happens once: the second is not heard, and its reason is nobody’s', () => {
    const cancellation = new Cancellation();
    const onCancelled = vi.fn<() => void>();
    cancellation.listen({ onCancelled });
    cancellation.cancel('first');
    cancellation.cancel('second');
    expect([cancellation.reason, onCancelled.mock.calls.length]).toEqual(['first', 1]);
  });

  test('by one of those who listen is the same one', () => {
    const cancellation = new Cancellation();
    const heard: string[] = [];
    const hear = (name: string): CancellationListener =>
      listener(() => {
        heard.push(name);
        cancellation.cancel(name);
      });
    cancellation.listen(hear('a'));
    cancellation.listen(hear('b'));
    cancellation.cancel('first');
    expect([heard, cancellation.reason]).toEqual([['a', 'b'], 'first']);
  });

  test('without a reason is one all the same', () => {
    const cancellation = new Cancellation();
    const onCancelled = vi.fn<() => void>();
    cancellation.listen({ onCancelled });
    cancellation.cancel(undefined);
    cancellation.cancel('second');
    expect([cancellation.isCancelled, cancellation.reason]).toEqual([true, undefined]);
    expect(onCancelled).toHaveBeenCalledOnce();
  });

  test('that is over is not told to who listens then', () => {
    const cancellation = new Cancellation();
    const late = vi.fn<() => void>();
    cancellation.listen(listener(() => cancellation.listen(listener(late))));
    cancellation.cancel('over');
    cancellation.listen(listener(late));
    cancellation.cancel('again');
    expect(late).not.toHaveBeenCalled();
  });
});

test('a listener that throws keeps nobody from hearing, and what it throws ends the process', () => {
  const thrown: (() => void)[] = [];
  vi.spyOn(globalThis, 'queueMicrotask').mockImplementation((task) => void thrown.push(task));
  const cancellation = new Cancellation();
  const failures = [new Error('of the first'), new Error('of the third')];
  const heard: string[] = [];
  for (const [name, failure] of [['a', failures[0]], ['b'], ['c', failures[1]], ['d']] as const)
    cancellation.listen(
      listener(() => {
        heard.push(name);
        if (failure) throw failure;
      }),
    );
  expect(() => cancellation.cancel('over')).not.toThrow();
  expect(heard).toEqual(['a', 'b', 'c', 'd']);
  // Each is thrown where nobody catches it.
  expect(thrown).toHaveLength(2);
  for (const [i, task] of thrown.entries()) expect(task).toThrow(failures[i]);
});

describe('throwIfCancelled', () => {
  test.each<[string, unknown]>([
    ['an error', new Error('client gone')],
    ['a refusal', { code: 'grant_revoked', status: 403 }],
    ['undefined', undefined],
  ])('throws the reason itself: %s', (_what, reason) => {
    const cancellation = new Cancellation();
    expect(() => cancellation.throwIfCancelled()).not.toThrow();
    cancellation.cancel(reason);
    let thrown: unknown = 'nothing';
    try {
      cancellation.throwIfCancelled();
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBe(reason);
  });
});
