/** The client goes away: the upstream stops at once, what was used is paid for, and nothing stays locked. */
import { connect } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  HELLO,
  HELLO_ANTHROPIC,
  errorOf,
  startRunningBroker,
  type Access,
  type RunningBroker,
} from '../support/running-broker.ts';
import {
  anthropicJson,
  anthropicStream,
  hang,
  hold,
  openaiJson,
  openaiStream,
  type Handler,
} from '../support/scripted-upstream.ts';

let running: RunningBroker;

beforeAll(async () => {
  running = await startRunningBroker();
});
afterEach(() => running.checkUpstream());
afterAll(() => running.close());

interface Vendor {
  whole(access: Access, signal: AbortSignal): Promise<unknown>;
  stream(access: Access, signal: AbortSignal): Promise<AsyncIterable<unknown>>;
  paced: Handler;
  good: Handler;
}

const VENDORS: Record<string, Vendor> = {
  openai: {
    whole: ({ openai }, signal) => openai.chat.completions.create(HELLO, { signal }),
    stream: ({ openai }, signal) =>
      openai.chat.completions.create({ ...HELLO, stream: true }, { signal }),
    paced: openaiStream({ chunks: Array.from({ length: 1_000 }, () => 'word '), paceMs: 5 }),
    good: openaiJson(),
  },
  anthropic: {
    whole: ({ anthropic }, signal) => anthropic.messages.create(HELLO_ANTHROPIC, { signal }),
    stream: ({ anthropic }, signal) =>
      anthropic.messages.create({ ...HELLO_ANTHROPIC, stream: true }, { signal }),
    paced: anthropicStream({
      chunks: Array.from({ length: 1_000 }, () => 'word '),
      paceMs: 5,
      usage: null,
    }),
    good: anthropicJson(),
  },
};

/** Reads so many items of a stream, then leaves. */
async function leaveAfter(
  items: number,
  stream: AsyncIterable<unknown>,
  leave: () => void,
): Promise<void> {
  let seen = 0;
  for await (const _ of stream) {
    seen += 1;
    if (seen === items) leave();
  }
}

describe.each(Object.entries(VENDORS))(
  'known failures 3 and 4: a client of %s goes away',
  (_, vendor) => {
    const leave = new Map<string, (access: Access) => Promise<void>>([
      [
        'before the headers of an answer',
        async (access) => {
          const asked = running.onceAsked(hang());
          const controller = new AbortController();
          const call = errorOf(vendor.whole(access, controller.signal));
          await asked;
          controller.abort();
          await call;
        },
      ],
      [
        'before the headers of a stream',
        async (access) => {
          const asked = running.onceAsked(hang());
          const controller = new AbortController();
          const call = errorOf(vendor.stream(access, controller.signal));
          await asked;
          controller.abort();
          await call;
        },
      ],
      [
        'in the middle of a stream',
        async (access) => {
          running.upstream.respond(vendor.paced);
          const controller = new AbortController();
          const stream = await vendor.stream(access, controller.signal);
          await leaveAfter(5, stream, () => controller.abort());
        },
      ],
      [
        'after the last word, before the usage',
        async (access) => {
          running.upstream.respond(hold({ chunks: ['one', 'two'] }));
          const controller = new AbortController();
          const stream = await vendor.stream(access, controller.signal);
          // OpenAI: role, one, two. Anthropic: start, block start, one, two (the SDK keeps pings to itself).
          const items = vendor === VENDORS['openai'] ? 3 : 4;
          await leaveAfter(items, stream, () => controller.abort());
        },
      ],
    ]);

    it.each([...leave])('%s', async (_name, go) => {
      const access = await running.access({ limits: { concurrent: 1 } });
      const index = running.upstream.requests.length;
      await go(access);
      await running.upstream.waitForAbort(index);
      const outcome = await running.outcomeOf(access.grant);
      const [intent] = running.entries({ kind: 'request.intent', grant: access.grant.id });
      const reserved = intent?.data?.reserved?.tokens ?? 0;
      const { usage, charged, end } = outcome.data ?? {};
      expect({ end, source: usage?.source, requests: charged?.requests }).toEqual({
        end: 'client_gone',
        source: 'estimated',
        requests: 1,
      });
      expect(charged?.tokens).toBeGreaterThan(0);
      expect(charged?.tokens).toBeLessThan(reserved);
      expect(running.sums(access.grant)).toEqual({
        requestsSettled: 1,
        requestsReserved: 0,
        tokensSettled: charged?.tokens,
        tokensReserved: 0,
      });
      // Its place is free again.
      running.upstream.respond(vendor.good);
      await vendor.whole(access, new AbortController().signal);
    });
  },
);

describe('a client that leaves', () => {
  it('while it is still sending its body, is on record, and nothing was forwarded', async () => {
    const access = await running.access();
    const before = running.upstream.requests.length;
    const denied = running.entries({ kind: 'request.denied', grant: access.grant.id }).length;
    await new Promise<void>((resolve) => {
      const socket = connect(Number(new URL(running.url).port), '127.0.0.1', () => {
        socket.write(
          `POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nauthorization: Bearer ${access.token}\r\ncontent-length: 100\r\n\r\n{"model":`,
          () => setImmediate(() => socket.destroy()),
        );
      });
      socket.on('close', () => resolve());
    });
    await expect
      .poll(() => running.entries({ kind: 'request.denied', grant: access.grant.id }).length)
      .toBe(denied + 1);
    expect(running.upstream.requests.length).toBe(before);
  });

  it('without reading its stream does not keep the upstream sending for ever', async () => {
    const access = await running.access();
    const index = running.upstream.requests.length;
    // More than sockets and buffers on the way can hold.
    running.upstream.respond(
      openaiStream({ chunks: Array.from({ length: 400 }, () => 'x'.repeat(65_536)) }),
    );
    const body = JSON.stringify({ ...HELLO, stream: true });
    const socket = connect(Number(new URL(running.url).port), '127.0.0.1');
    socket.write(
      `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nauthorization: Bearer ${access.token}\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    );
    await new Promise((resolve) => socket.once('data', resolve));
    socket.pause();
    // The upstream waits for us, as we wait for the client: what it wrote does not grow any more.
    const { broker } = running.test;
    await expect.poll(() => broker.live.count).toBe(1);
    socket.destroy();
    await running.upstream.waitForAbort(index);
    expect((await running.outcomeOf(access.grant)).data).toMatchObject({
      end: 'client_gone',
      usage: { source: 'estimated' },
    });
  });
});
