import { expect, test } from 'vitest';
import { LogFeed } from '../../src/broker/log-feed.ts';

/** Longer than any test may take: only a change ends such a wait. */
const LONG_MS = 600_000;

test('a change that comes while somebody looks is not waited for again', async () => {
  const feed = new LogFeed();
  const { changed } = feed;
  feed.notify();
  await feed.wait(LONG_MS, undefined, changed);
  const over = new AbortController();
  const next = feed.wait(LONG_MS, over.signal);
  const first = await Promise.race([next.then(() => 'change'), Promise.resolve('nothing')]);
  expect(first).toBe('nothing');
  feed.notify();
  await next;
});
