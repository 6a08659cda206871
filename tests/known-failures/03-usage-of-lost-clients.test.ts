/**
 * Known failure 3: a client that leaves pays for what was generated: neither nothing nor the whole
 * reservation. Leaving in each phase is tested in tests/gateway/client-gone.test.ts.
 */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  HELLO,
  HELLO_ANTHROPIC,
  MODEL,
  startRunningBroker,
  type Access,
  type RunningBroker,
} from '../support/running-broker.ts';
import { hold, type Handler } from '../support/scripted-upstream.ts';

let running: RunningBroker;
beforeAll(async () => {
  running = await startRunningBroker();
});
afterEach(() => running.checkUpstream());
afterAll(() => running.close());

/** Sends these events and leaves the stream open. */
function openAfter(events: object[]): Handler {
  return async (_req, res) => {
    res.writeHead(200, { 'content-type': 'text/event-stream' });
    for (const event of events) {
      const type = 'type' in event ? `event: ${String(event.type)}\n` : '';
      res.write(`${type}data: ${JSON.stringify(event)}\n\n`);
    }
    await new Promise((resolve) => res.once('close', resolve));
  };
}

const chunk = (choices: object[], usage: object | null): object => ({
  id: 'chatcmpl-1',
  object: 'chat.completion.chunk',
  created: 1,
  model: MODEL,
  choices,
  usage,
});

interface Vendor {
  /** Everything but the terminal event. */
  events: object[];
  stream(access: Access, signal: AbortSignal): Promise<AsyncIterable<object>>;
  isLast(item: object): boolean;
  isText(item: object): boolean;
}

const VENDORS: Record<string, Vendor> = {
  openai: {
    events: [
      chunk([{ index: 0, delta: { content: 'Hi' }, finish_reason: 'stop' }], null),
      chunk([], { prompt_tokens: 321, completion_tokens: 54, total_tokens: 375 }),
    ],
    stream: ({ openai }, signal) =>
      openai.chat.completions.create(
        { ...HELLO, stream: true, stream_options: { include_usage: true } },
        { signal },
      ),
    isLast: (item) => 'usage' in item && item.usage !== null,
    isText: (item) => JSON.stringify(item).includes('word '),
  },
  anthropic: {
    events: [
      {
        type: 'message_start',
        message: { model: MODEL, usage: { input_tokens: 321, output_tokens: 1 } },
      },
      { type: 'message_delta', delta: {}, usage: { output_tokens: 54 } },
    ],
    stream: ({ anthropic }, signal) =>
      anthropic.messages.create({ ...HELLO_ANTHROPIC, stream: true }, { signal }),
    isLast: (item) => 'type' in item && item.type === 'message_delta',
    isText: (item) => JSON.stringify(item).includes('word '),
  },
};

/** Reads until an item is the one, then leaves. */
async function leaveAt(
  access: Access,
  vendor: Vendor,
  isIt: (item: object) => boolean,
): Promise<void> {
  const controller = new AbortController();
  for await (const item of await vendor.stream(access, controller.signal))
    if (isIt(item)) controller.abort();
}

describe.each(Object.entries(VENDORS))(
  'known failure 3: usage of lost clients, %s',
  (_, vendor) => {
    it('a client that has seen the usage and leaves before the end is charged just that', async () => {
      const access = await running.access();
      running.upstream.respond(openAfter(vendor.events));
      await leaveAt(access, vendor, (item) => vendor.isLast(item));
      expect((await running.outcomeOf(access.grant)).data).toMatchObject({
        end: 'client_gone',
        usage: { inputTokens: 321, outputTokens: 54, source: 'reported' },
        charged: { requests: 1, tokens: 375, spendNanoUsd: 321 * 3_000 + 54 * 15_000 },
      });
    });

    it('a client that leaves after 300 words is charged about 300 words', async () => {
      const access = await running.access();
      const words = Array.from({ length: 300 }, () => 'word ');
      running.upstream.respond(hold({ chunks: words, usage: null }));
      let seen = 0;
      await leaveAt(access, vendor, (item) => {
        if (vendor.isText(item)) seen += 1;
        return seen === words.length;
      });
      const { data } = await running.outcomeOf(access.grant);
      expect(data).toMatchObject({ end: 'client_gone', usage: { source: 'estimated' } });
      expect(data?.usage?.outputTokens).toBeGreaterThanOrEqual(150);
      expect(data?.usage?.outputTokens).toBeLessThanOrEqual(600);
      expect(data?.charged?.tokens).toBe(
        (data?.usage?.inputTokens ?? 0) + (data?.usage?.outputTokens ?? 0),
      );
    });
  },
);
