/**
 * Known failure 14: streams that are split, held up, tried again or forgotten. More about streams is in
 * tests/gateway/streams.test.ts.
 */
import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  HELLO,
  HELLO_ANTHROPIC,
  MODEL,
  codeOf,
  drain,
  errorOf,
  post,
  startRunningBroker,
  type Access,
  type RunningBroker,
} from '../support/running-broker.ts';
import {
  anthropicStream,
  openaiStream,
  type Handler,
  type StreamOptions,
} from '../support/scripted-upstream.ts';

let running: RunningBroker;
beforeAll(async () => {
  running = await startRunningBroker();
});
afterEach(() => running.checkUpstream());
afterAll(() => running.close());

/** An SDK as a researcher sets it up, with its own ideas of trying again. */
interface Sdk {
  read(each?: (text: string) => void): Promise<string>;
  attempts(): number;
}

interface Vendor {
  path: string;
  body: object;
  stream(options: StreamOptions): Handler;
  sdk(access: Access): Sdk;
}

function counting(): { fetch: typeof fetch; attempts(this: void): number } {
  let attempts = 0;
  return {
    fetch: (...args) => {
      attempts += 1;
      return fetch(...args);
    },
    attempts: () => attempts,
  };
}

const VENDORS: Record<string, Vendor> = {
  openai: {
    path: '/v1/chat/completions',
    body: { ...HELLO, stream: true },
    stream: openaiStream,
    sdk({ token }) {
      const { fetch: counted, attempts } = counting();
      const sdk = new OpenAI({ baseURL: `${running.url}/v1`, apiKey: token, fetch: counted });
      return {
        attempts,
        async read(each) {
          let text = '';
          for await (const chunk of await sdk.chat.completions.create({ ...HELLO, stream: true })) {
            const delta = chunk.choices[0]?.delta.content ?? '';
            text += delta;
            if (delta !== '') each?.(delta);
          }
          return text;
        },
      };
    },
  },
  anthropic: {
    path: '/v1/messages',
    body: { ...HELLO_ANTHROPIC, stream: true },
    stream: anthropicStream,
    sdk({ token }) {
      const { fetch: counted, attempts } = counting();
      const sdk = new Anthropic({ baseURL: running.url, apiKey: token, fetch: counted });
      return {
        attempts,
        async read(each) {
          let text = '';
          for await (const event of await sdk.messages.create({
            ...HELLO_ANTHROPIC,
            stream: true,
          })) {
            if (event.type !== 'content_block_delta' || event.delta.type !== 'text_delta') continue;
            text += event.delta.text;
            each?.(event.delta.text);
          }
          return text;
        },
      };
    },
  },
};

/** Short streams with characters of two, three and four bytes. */
const RECORDED: Record<string, string> = {
  openai: [
    `data: {"model":"${MODEL}","choices":[{"index":0,"delta":{"content":"é 世 🦀 [DONE]"}}]}`,
    'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":4}}',
    'data: [DONE]',
  ]
    .map((event) => `${event}\n\n`)
    .join(''),
  anthropic: [
    `message_start\ndata: {"type":"message_start","message":{"model":"${MODEL}","usage":{"input_tokens":3}}}`,
    'content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"é 世 🦀 message_stop"}}',
    'message_delta\ndata: {"type":"message_delta","delta":{},"usage":{"output_tokens":4}}',
    'message_stop\ndata: {"type":"message_stop"}',
  ]
    .map((event) => `event: ${event}\n\n`)
    .join(''),
};

describe.each(Object.entries(VENDORS))('known failure 14: streams, %s', (name, vendor) => {
  it('comes out the same, wherever the upstream splits it', async () => {
    const access = await running.access();
    const recorded = Buffer.from(RECORDED[name] as string);
    // Told apart by the maximum of output tokens, so that they can be split at the same time.
    running.upstream.respond((req, res) => {
      const { max_tokens: at } = req.body as { max_tokens: number };
      res.writeHead(200, { 'content-type': 'text/event-stream' });
      res.write(recorded.subarray(0, at));
      // Another turn of the loop, so that the rest leaves as a write of its own.
      setImmediate(() => res.end(recorded.subarray(at)));
    });
    const split = async (at: number): Promise<void> => {
      const body = { ...vendor.body, max_tokens: at };
      const answer = await post(running.url + vendor.path, access.token, body);
      expect(await answer.text(), `split at byte ${at}`).toBe(recorded.toString());
    };
    for (let from = 1; from < recorded.length; from += 20)
      await Promise.all(Array.from({ length: 20 }, (_one, i) => split(from + i)));
  });

  it('is not buffered: the upstream sends a word when the client has had the one before', async () => {
    const access = await running.access();
    const words = Array.from({ length: 12 }, (_one, i) => `word${i} `);
    const heard = new Map<number, () => void>();
    let seen = 0;
    running.upstream.respond(
      vendor.stream({
        chunks: words,
        before: (word) =>
          word <= seen
            ? Promise.resolve()
            : new Promise<void>((resolve) => heard.set(word, resolve)),
      }),
    );
    const text = await vendor.sdk(access).read(() => {
      seen += 1;
      heard.get(seen)?.();
    });
    expect(text).toBe(words.join(''));
  });

  it.each(['error-event', 'nothing', 'destroy'] as const)(
    'an error after some of the output (%s) is raised, and not tried again by anybody',
    async (endWith) => {
      const access = await running.access();
      running.upstream.respond(vendor.stream({ chunks: ['one ', 'two '], endWith }));
      const before = running.upstream.requests.length;
      const sdk = vendor.sdk(access);
      const heard: string[] = [];
      await errorOf(sdk.read((text) => heard.push(text)));
      expect(heard).toEqual(['one ', 'two ']);
      expect(sdk.attempts()).toBe(1);
      expect(running.upstream.requests.length).toBe(before + 1);
      expect(running.sums(access.grant)).toMatchObject({ requestsSettled: 1, requestsReserved: 0 });
    },
  );
});

/** Sends these bytes, then does nothing, or sends a comment now and then. */
function stallsAfter(text: string, comments: boolean): Handler {
  return async (_req, res) => {
    res.writeHead(200, { 'content-type': 'text/event-stream' });
    res.write(text);
    const timer = comments ? setInterval(() => res.write(': still here\n\n'), 100) : undefined;
    await new Promise((resolve) => res.once('close', resolve));
    clearInterval(timer);
  };
}

/** All of a stream but its terminal event: usage, too. */
const ALMOST: Record<string, string> = {
  openai: [
    { choices: [{ index: 0, delta: { content: 'Hi' }, finish_reason: 'stop' }], usage: null },
    { choices: [], usage: { prompt_tokens: 11, completion_tokens: 7 } },
  ]
    .map((chunk) => `data: ${JSON.stringify({ id: 'c', model: HELLO.model, ...chunk })}\n\n`)
    .join(''),
  anthropic: [
    { type: 'message_start', message: { model: HELLO.model, usage: { input_tokens: 11 } } },
    { type: 'message_delta', delta: {}, usage: { output_tokens: 7 } },
  ]
    .map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`)
    .join(''),
};

describe('known failure 14: a stall after everything but the terminal event', () => {
  let hasty: RunningBroker;
  beforeAll(async () => {
    hasty = await startRunningBroker({ gateway: { idleSeconds: 1, requestSeconds: 3 } });
  });
  afterAll(() => hasty.close());

  const CASES = Object.keys(VENDORS).flatMap((name) => [
    [name, 'says nothing', false, 'upstream_incomplete'] as const,
    [name, 'sends comments for ever', true, 'deadline'] as const,
  ]);

  it.each(CASES)('%s: an upstream that %s is noticed', async (name, _what, comments, end) => {
    const access = await hasty.access();
    hasty.upstream.respond(stallsAfter(ALMOST[name] as string, comments));
    const index = hasty.upstream.requests.length;
    const { openai, anthropic } = access;
    const error = await errorOf(
      (async () =>
        name === 'openai'
          ? drain(await openai.chat.completions.create({ ...HELLO, stream: true }))
          : drain(await anthropic.messages.create({ ...HELLO_ANTHROPIC, stream: true })))(),
    );
    expect(codeOf(error)).toBe('upstream_timeout');
    await hasty.upstream.waitForAbort(index);
    expect((await hasty.outcomeOf(access.grant)).data).toMatchObject({
      end,
      usage: { inputTokens: 11, outputTokens: 7, source: 'reported' },
    });
  });
});
