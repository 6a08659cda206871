/**
 * Known failure 8: a log that hangs is refused within its deadline and starves nothing. The deadline itself is
 * tested in tests/gateway/recorded, tests/store/disk and tests/e2e/disk.
 */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  HELLO,
  codeOf,
  errorOf,
  startRunningBroker,
  type ApiError,
  type RunningBroker,
} from '../support/running-broker.ts';
import { openaiStream } from '../support/scripted-upstream.ts';

let running: RunningBroker;
let unlock = (): void => undefined;
beforeAll(async () => {
  running = await startRunningBroker();
});
afterEach(() => {
  unlock();
  running.checkUpstream();
});
afterAll(() => running.close());

describe('known failure 8: a slow log', () => {
  it('holds back no word of a stream that has begun, only new requests; and its usage is not lost', async () => {
    const access = await running.access();
    const words = Array.from({ length: 20 }, (_, i) => `word${i} `);
    const usage = { inputTokens: 77, outputTokens: 33 };
    // A word at a time, each only after the client has had the one before.
    const heardOf = new Map<number, () => void>();
    const before = async (word: number): Promise<void> => {
      if (word > 0 && seen < word) await new Promise<void>((resolve) => heardOf.set(word, resolve));
    };
    running.upstream.respond(openaiStream({ chunks: words, usage, before }));
    let heard = '';
    let seen = 0;
    let refused: ApiError | undefined;
    const stream = await access.openai.chat.completions.create({ ...HELLO, stream: true });
    for await (const chunk of stream) {
      const text = chunk.choices[0]?.delta.content ?? '';
      if (text === '') continue;
      heard += text;
      seen += 1;
      if (seen === 5) unlock = running.lockLog();
      if (seen === 10) refused = await errorOf(access.openai.chat.completions.create(HELLO));
      if (seen === words.length) unlock();
      heardOf.get(seen)?.();
    }
    expect(heard).toBe(words.join(''));
    expect(refused && codeOf(refused)).toBe('log_unavailable');
    expect((await running.outcomeOf(access.grant)).data).toMatchObject({
      end: 'completed',
      usage: { ...usage, source: 'reported' },
      charged: { requests: 1, tokens: 110 },
    });
  });
});
