/** Streams: byte for byte, however they are split, and never a clean end that is not one. */
import type { ServerResponse } from 'node:http';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import * as anthropicSdk from '@anthropic-ai/sdk';
import * as openaiSdk from 'openai';
import {
  HELLO,
  HELLO_ANTHROPIC,
  MODEL,
  SECOND_MODEL,
  codeOf,
  drain,
  errorOf,
  eventually,
  post,
  startRunningBroker,
  type Access,
  type ApiError,
  type RunningBroker,
} from '../support/running-broker.ts';
import {
  anthropicStream,
  hang,
  hold,
  openaiStream,
  type Handler,
  type StreamOptions,
} from '../support/scripted-upstream.ts';

let running: RunningBroker;
let access: Access;

beforeAll(async () => {
  running = await startRunningBroker({
    gateway: { firstByteSeconds: 1, idleSeconds: 1, requestSeconds: 2 },
  });
});
afterEach(() => running.checkUpstream());
afterAll(() => running.close());

interface Vendor {
  path: string;
  body: object;
  stream: (options?: StreamOptions) => Handler;
  /** Reads a whole stream with the vendor's SDK. */
  read(access: Access): Promise<string>;
  errorClass: new (...args: never[]) => Error;
  terminal: string;
}

const VENDORS: Record<string, Vendor> = {
  openai: {
    path: '/v1/chat/completions',
    body: { ...HELLO, stream: true },
    stream: openaiStream,
    read: async ({ openai }) =>
      (await drain(await openai.chat.completions.create({ ...HELLO, stream: true })))
        .map((chunk) => chunk.choices[0]?.delta.content ?? '')
        .join(''),
    errorClass: openaiSdk.APIError,
    terminal: 'data: [DONE]\n\n',
  },
  anthropic: {
    path: '/v1/messages',
    body: { ...HELLO_ANTHROPIC, stream: true },
    stream: anthropicStream,
    read: async ({ anthropic }) =>
      (await drain(await anthropic.messages.create({ ...HELLO_ANTHROPIC, stream: true })))
        .map((event) =>
          event.type === 'content_block_delta' && event.delta.type === 'text_delta'
            ? event.delta.text
            : '',
        )
        .join(''),
    errorClass: anthropicSdk.APIError,
    terminal: 'event: message_stop\ndata: {"type":"message_stop"}\n\n',
  },
};

const CHUNKS = ['Grüße, ', '世界', ' 🦀🏳️‍🌈 ', 'a "quoted" \\ [DONE] message_stop ', '\n\nend'];

describe.each(Object.entries(VENDORS))('%s', (_, vendor) => {
  const fetchStream = async (handler: Handler): Promise<string> => {
    running.upstream.respond(handler);
    const answer = await post(running.url + vendor.path, access.token, vendor.body);
    expect(answer.headers.get('content-type')).toMatch(/^text\/event-stream/);
    return answer.text();
  };

  beforeAll(async () => {
    access = await running.access();
  });

  it('comes out the same however the upstream splits it, in the middle of events and characters', async () => {
    const whole = await fetchStream(vendor.stream({ chunks: CHUNKS }));
    expect(whole.endsWith(vendor.terminal)).toBe(true);
    expect(await fetchStream(vendor.stream({ chunks: CHUNKS, splitAt: 'byte' }))).toBe(whole);
    const mid = Math.floor(Buffer.byteLength(whole) / 2);
    expect(await fetchStream(vendor.stream({ chunks: CHUNKS, splitAt: [mid, mid + 1] }))).toBe(
      whole,
    );
    expect(await fetchStream(inOnePiece(vendor.stream({ chunks: CHUNKS })))).toBe(whole);
    running.upstream.respond(vendor.stream({ chunks: CHUNKS, splitAt: 'byte' }));
    expect(await vendor.read(access)).toBe(CHUNKS.join(''));
  });

  it('may have CRLF at the end of its lines, and keeps it', async () => {
    const plain = await fetchStream(vendor.stream({ chunks: CHUNKS }));
    const crlf = await fetchStream(changed(vendor.stream({ chunks: CHUNKS }), withCrlf));
    expect(crlf).toBe(plain.replaceAll('\n', '\r\n'));
    const split = changed(vendor.stream({ chunks: CHUNKS, splitAt: 'byte' }), withCrlf);
    expect(await fetchStream(split)).toBe(crlf);
  });

  it('may lack the blank line at its very end', async () => {
    const whole = await fetchStream(vendor.stream({ chunks: CHUNKS }));
    const cut = changed(inOnePiece(vendor.stream({ chunks: CHUNKS })), (text) => text.trimEnd());
    expect(await fetchStream(cut)).toBe(whole);
  });

  it('is not buffered: the first words arrive while the upstream still holds the rest', async () => {
    const held = hold({ chunks: ['first words'] });
    running.upstream.respond(held);
    const answer = await post(running.url + vendor.path, access.token, vendor.body);
    const reader = answer.body?.getReader();
    let text = '';
    while (!text.includes('first words'))
      text += new TextDecoder().decode((await reader?.read())?.value as Uint8Array);
    expect(text).not.toContain(vendor.terminal);
    held.release();
    for (let read = await reader?.read(); read && !read.done; read = await reader?.read())
      text += new TextDecoder().decode(read.value as Uint8Array);
    expect(text.endsWith(vendor.terminal)).toBe(true);
  });

  it('leaves the connection to the upstream whole when it is complete', async () => {
    const sockets = new Set<unknown>();
    running.upstream.respond(async (req, res) => {
      sockets.add(res.socket);
      await vendor.stream()(req, res);
    });
    const first = running.upstream.requests.length;
    for (let i = 0; i < 3; i += 1) await vendor.read(access);
    await eventually(() =>
      expect(running.upstream.requests.slice(first).map(({ aborted }) => aborted)).toEqual([
        false,
        false,
        false,
      ]),
    );
    expect(sockets.size).toBe(1);
  });

  describe('raises, and the outcome says why,', () => {
    const CASES: [string, () => Handler, string, object][] = [
      [
        'when the upstream ends without a terminator',
        () => vendor.stream({ endWith: 'nothing' }),
        'upstream_incomplete',
        { end: 'upstream_incomplete', usage: { source: 'estimated' } },
      ],
      [
        'when the connection to the upstream breaks',
        () => vendor.stream({ endWith: 'destroy' }),
        'upstream_incomplete',
        { end: 'upstream_incomplete', usage: { source: 'estimated' } },
      ],
    ];

    it.each(CASES)('%s', async (_name, handler, code, data) => {
      const mine = await running.access();
      running.upstream.respond(handler());
      const error = await errorOf(vendor.read(mine));
      expect(error).toBeInstanceOf(vendor.errorClass);
      expect(codeOf(error)).toBe(code);
      const outcome = await running.outcomeOf(mine.grant);
      expect(outcome).toMatchObject({ reason: code, data });
      expect(outcome.data?.charged?.requests).toBe(1);
      expect(running.sums(mine.grant)).toMatchObject({ requestsReserved: 0, tokensReserved: 0 });
    });

    it('when the upstream says so itself: its own words are passed on', async () => {
      const mine = await running.access();
      running.upstream.respond(vendor.stream({ endWith: 'error-event' }));
      const error: ApiError = await errorOf(vendor.read(mine));
      expect(error).toBeInstanceOf(vendor.errorClass);
      expect(error.message).toContain('The scripted upstream failed.');
      expect(await running.outcomeOf(mine.grant)).toMatchObject({
        data: { end: 'upstream_error', usage: { source: 'estimated' } },
      });
    });

    it('when it is asked for a stream and the upstream answers with one document', async () => {
      const mine = await running.access();
      running.upstream.respond((_req, res) => {
        res.writeHead(200, { 'content-type': 'application/json' });
        res.end('{"model":"model-a-1"}');
      });
      const error = await errorOf(vendor.read(mine));
      expect(error).toBeInstanceOf(vendor.errorClass);
      expect([error.status, codeOf(error)]).toEqual([502, 'upstream_invalid']);
      expect(await running.outcomeOf(mine.grant)).toMatchObject({
        data: { end: 'upstream_error', charged: { requests: 1 } },
      });
    });
  });

  describe('usage', () => {
    it('is what the upstream reports', async () => {
      const mine = await running.access();
      running.upstream.respond(
        vendor.stream({ usage: { inputTokens: 123, outputTokens: 45 }, model: MODEL }),
      );
      await vendor.read(mine);
      const { data } = await running.outcomeOf(mine.grant);
      expect(data).toMatchObject({
        end: 'completed',
        usage: { inputTokens: 123, outputTokens: 45, source: 'reported' },
        charged: { requests: 1, tokens: 168, spendNanoUsd: 123 * 3000 + 45 * 15_000 },
        modelAnswered: MODEL,
      });
      expect(data?.['modelMismatch']).toBeUndefined();
    });

    it('is estimated, and marked so, where the upstream reports none', async () => {
      for (const compact of [true, false]) {
        const mine = await running.access();
        const handler = vendor.stream({
          usage: null,
          chunks: ['He said \\"hi\\" ', 'word '.repeat(100)],
        });
        // Some servers write JSON with a space after each colon.
        running.upstream.respond(
          compact ? handler : changed(handler, (text) => text.replaceAll('":"', '": "')),
        );
        await vendor.read(mine);
        const { data } = await running.outcomeOf(mine.grant);
        expect(data).toMatchObject({ end: 'completed', usage: { source: 'estimated' } });
        expect(data?.usage?.inputTokens).toBeGreaterThan(10);
        expect(data?.usage?.outputTokens).toBeGreaterThan(100);
        expect(data?.usage?.outputTokens).toBeLessThan(250);
      }
    });

    it('flags a model that is not the one asked for', async () => {
      const mine = await running.access();
      running.upstream.respond(vendor.stream({ model: SECOND_MODEL }));
      await vendor.read(mine);
      expect((await running.outcomeOf(mine.grant)).data).toMatchObject({
        modelAnswered: SECOND_MODEL,
        modelMismatch: true,
      });
    });
  });
});

describe.concurrent('an upstream that is too slow', () => {
  /** Told apart by the maximum of output tokens, so that they can all be slow at the same time. */
  const SLOW = new Map<number, Handler>([
    [1, hold()],
    [2, hang()],
    [3, (req, res) => ticking(req)(req, res)],
  ]);
  const ticking = ({ path }: { path: string }): Handler =>
    (path.includes('messages') ? anthropicStream : openaiStream)({
      chunks: Array.from({ length: 100 }, () => 'tick '),
      paceMs: 100,
    });

  beforeAll(() =>
    running.upstream.respond((req, res) =>
      SLOW.get((req.body as { max_tokens: number }).max_tokens)?.(req, res),
    ),
  );

  const CASES = [
    ['falls silent in the middle', 1, 'upstream_incomplete'],
    ['never begins', 2, 'upstream_incomplete'],
    ['takes longer than a request may', 3, 'deadline'],
  ] as const;

  it.each(CASES.flatMap((one) => Object.keys(VENDORS).map((vendor) => [...one, vendor] as const)))(
    '%s: it raises, and the request is over (case %i: %s, %s)',
    async (_name, max_tokens, end, dialect) => {
      const { openai, anthropic, grant } = await running.access();
      const ask = { ...HELLO, max_tokens, stream: true as const };
      const error = await errorOf(
        (async () =>
          dialect === 'openai'
            ? drain(await openai.chat.completions.create(ask))
            : drain(await anthropic.messages.create(ask)))(),
      );
      expect(error).toBeInstanceOf(VENDORS[dialect]?.errorClass);
      expect(codeOf(error)).toBe('upstream_timeout');
      expect(await running.outcomeOf(grant)).toMatchObject({
        reason: 'upstream_timeout',
        data: { end, usage: { source: 'estimated' }, charged: { requests: 1 } },
      });
      expect(running.sums(grant)).toMatchObject({ requestsReserved: 0, tokensReserved: 0 });
    },
  );
});

describe('a client that asked for no stream', () => {
  it('gets none, whatever the upstream sends', async () => {
    const mine = await running.access();
    running.upstream.respond(openaiStream());
    const error = await errorOf(mine.openai.chat.completions.create(HELLO));
    expect([error.status, codeOf(error)]).toEqual([502, 'upstream_invalid']);
  });
});

describe('a usage chunk that nobody asked for', () => {
  it('is kept back from the client and counted all the same', async () => {
    const mine = await running.access();
    running.upstream.respond(openaiStream({ usageUnasked: true, splitAt: 'byte' }));
    const answer = await post(`${running.url}/v1/chat/completions`, mine.token, {
      ...HELLO,
      stream: true,
    });
    expect(await answer.text()).not.toContain('"choices":[]');
    expect((await running.outcomeOf(mine.grant)).data?.usage).toEqual({
      inputTokens: 11,
      outputTokens: 7,
      source: 'reported',
    });
  });
});

const withCrlf = (text: string): string => text.replaceAll('\n', '\r\n');

/** Changes what a handler writes, write by write. */
function changed(handler: Handler, change: (text: string) => string): Handler {
  return (req, res) => {
    const write = res.write.bind(res) as (chunk: Buffer | string) => boolean;
    res.write = ((chunk: Buffer) =>
      // Bytes of a split character pass through unharmed as Latin-1.
      write(Buffer.from(change(chunk.toString('latin1')), 'latin1'))) as ServerResponse['write'];
    return handler(req, res);
  };
}

/** Has a handler's whole body leave in one write. */
function inOnePiece(handler: Handler): Handler {
  return (req, res) => {
    const parts: Buffer[] = [];
    const write = res.write.bind(res) as (chunk: Buffer) => boolean;
    const end = res.end.bind(res) as () => ServerResponse;
    res.write = ((chunk: Buffer) => parts.push(chunk) > 0) as ServerResponse['write'];
    res.end = (() => {
      write(Buffer.concat(parts));
      return end();
    }) as ServerResponse['end'];
    return handler(req, res);
  };
}
