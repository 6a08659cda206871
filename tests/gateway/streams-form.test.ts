/** Streams in every form that the standard allows, and what stands round their events. */
import { setImmediate } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  HELLO,
  HELLO_ANTHROPIC,
  MODEL,
  codeOf,
  drain,
  errorOf,
  eventually,
  post,
  startRunningBroker,
  type Access,
  type RunningBroker,
} from '../support/running-broker.ts';
import { rawStream, streamRequest } from '../support/raw-stream.ts';
import type { Handler } from '../support/scripted-upstream.ts';

let running: RunningBroker;
let access: Access;

beforeAll(async () => {
  running = await startRunningBroker();
});
afterEach(() => running.checkUpstream());
afterAll(() => running.close());

const chunk = (content: string, usage: object | null = null): string =>
  JSON.stringify({
    id: 'c',
    object: 'chat.completion.chunk',
    created: 1,
    model: MODEL,
    choices: [{ index: 0, delta: { content } }],
    usage,
  });
const USAGE = { prompt_tokens: 3, completion_tokens: 4, total_tokens: 7 };
const DONE = 'data: [DONE]\n\n';

/** Sends these bytes, each in a write of its own. */
function sends(...parts: (string | Buffer)[]): Handler {
  return async (_req, res) => {
    res.writeHead(200, { 'content-type': 'text/event-stream' });
    for (const part of parts) {
      res.write(part);
      await setImmediate();
    }
    res.end();
  };
}

const ask = async (): Promise<string> => {
  const body = { ...HELLO, stream: true };
  return (await post(`${running.url}/v1/chat/completions`, access.token, body)).text();
};

const words = async (): Promise<string> =>
  (await drain(await access.openai.chat.completions.create({ ...HELLO, stream: true })))
    .map((item) => item.choices[0]?.delta.content ?? '')
    .join('');

describe('a stream', () => {
  beforeAll(async () => {
    access = await running.access();
  });

  it('ends with its terminal event: what the upstream sends behind it stays here', async () => {
    const whole = `data: ${chunk('Hi', USAGE)}\n\n${DONE}`;
    const behind = `data: ${chunk('behind')}\n\n`;
    for (const handler of [
      sends(whole + behind),
      sends(whole, behind),
      sends(whole + behind.slice(0, 9), behind.slice(9)),
    ]) {
      running.upstream.respond(handler);
      expect(await ask()).toBe(whole);
    }
  });

  it('may have all line ends that the standard knows', async () => {
    for (const eol of ['\n', '\r\n', '\r']) {
      const whole = `data: ${chunk('Hi')}\n\ndata: ${chunk(' there', USAGE)}\n\n${DONE}`.replaceAll(
        '\n',
        eol,
      );
      for (const parts of [[whole], whole.split('')]) {
        running.upstream.respond(sends(...parts));
        expect(await ask()).toBe(whole);
        running.upstream.respond(sends(...parts));
        expect(await words()).toBe('Hi there');
      }
    }
  });

  it('may begin with a byte order mark, which does not hide its first event', async () => {
    const mine = await running.access();
    const start = { type: 'message_start', message: { model: MODEL, usage: { input_tokens: 5 } } };
    const events = [start, { type: 'message_delta', delta: {}, usage: { output_tokens: 6 } }]
      .map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`)
      .join('');
    const stop = 'event: message_stop\ndata: {"type":"message_stop"}\n\n';
    running.upstream.respond(sends(Buffer.of(0xef, 0xbb), Buffer.of(0xbf), events, stop));
    const body = { ...HELLO_ANTHROPIC, stream: true };
    const answer = await post(`${running.url}/v1/messages`, mine.token, body);
    expect(await answer.text()).toBe(events + stop);
    expect((await running.outcomeOf(mine.grant)).data).toMatchObject({
      usage: { inputTokens: 5, outputTokens: 6, source: 'reported' },
      modelAnswered: MODEL,
    });
  });

  it('may have comments, ids, waiting times and data of several lines', async () => {
    const mine = await running.access();
    const [before, after] = chunk('Hi', USAGE).split(',"choices"');
    const whole = `: comment\nid: 1\nretry: 1000\n\ndata: ${before}\ndata: ,"choices"${after}\n\n:\n\n${DONE}`;
    running.upstream.respond(sends(whole));
    const answer = await post(`${running.url}/v1/chat/completions`, mine.token, {
      ...HELLO,
      stream: true,
    });
    expect(await answer.text()).toBe(whole);
    expect((await running.outcomeOf(mine.grant)).data?.usage).toEqual({
      inputTokens: 3,
      outputTokens: 4,
      source: 'reported',
    });
  });

  it('that never ends an event is no stream', async () => {
    const mine = await running.access();
    const index = running.upstream.requests.length;
    running.upstream.respond((_req, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' });
      res.write(Buffer.alloc(9 * 1024 * 1024, 'x'));
    });
    const answer = await post(`${running.url}/v1/chat/completions`, mine.token, {
      ...HELLO,
      stream: true,
    });
    expect(await answer.text()).toMatch(/^data: \{"error":\{.*"code":"upstream_invalid"/);
    await running.upstream.waitForAbort(index);
    expect(await running.outcomeOf(mine.grant)).toMatchObject({
      reason: 'upstream_invalid',
      data: { end: 'upstream_error' },
    });
  });

  it('that ends inside an event loses that half, and the SDK hears why', async () => {
    const whole = `data: ${chunk('Hi')}\n\n`;
    for (const half of [
      `data: ${chunk(' there').slice(0, -9)}`,
      `data: ${chunk(' there').slice(0, -9)}\n`,
      'data: [DON',
      'event: error\ndata: {"error":{"mess',
      ': half a comm',
    ]) {
      running.upstream.respond(sends(whole, half));
      const text = await ask();
      expect(text.slice(0, whole.length)).toBe(whole);
      expect(text.slice(whole.length)).toMatch(/^data: \{"error":\{.*"code":"upstream_incomplete"/);
      running.upstream.respond(sends(whole, half));
      expect(codeOf(await errorOf(words()))).toBe('upstream_incomplete');
    }
  });

  it('of HTTP/1.0 is not in chunks', async () => {
    const whole = `data: ${chunk('Hi')}\n\ndata: ${chunk(' there', USAGE)}\n\n${DONE}`;
    running.upstream.respond(sends(...whole.split(/(?<=\n\n)/)));
    const stream = rawStream(
      running.url,
      streamRequest(access.token).replace('HTTP/1.1', 'HTTP/1.0'),
    );
    await stream.closed;
    expect(stream.text().split('\r\n\r\n')[1]).toBe(whole);
  });

  it('that waits in a pipeline behind another comes whole after it, in chunks of as many bytes as they say', async () => {
    const goOn: (() => void)[] = [];
    running.upstream.respond(async (_req, res) => {
      const told = new Promise<void>((resolve) => goOn.push(resolve));
      res.writeHead(200, { 'content-type': 'text/event-stream' });
      res.write(`data: ${chunk('Grüße')}\n\n`);
      await told;
      res.write(`data: ${chunk('世界 🦀')}\n\n`);
      await setImmediate();
      res.write(`data: ${chunk('!', USAGE)}\n\n`);
      await setImmediate();
      res.end(DONE);
    });
    const stream = rawStream(running.url, streamRequest(access.token).repeat(2));
    await eventually(() => expect(goOn).toHaveLength(2));
    await stream.has('Gr');
    goOn[0]?.();
    await stream.has('0\r\n\r\nHTTP/1.1 200 OK');
    goOn[1]?.();
    await eventually(() => expect(stream.text().match(/\r\n0\r\n\r\n/g)).toHaveLength(2));
    stream.socket.destroy();
    const first = ['Grüße', '世界 🦀'].map((word) => `data: ${chunk(word)}\n\n`);
    const whole = `${first.join('')}data: ${chunk('!', USAGE)}\n\n${DONE}`;
    for (const answer of stream.text().split('HTTP/1.1 200 OK').slice(1)) {
      const bytes = unchunked(answer.slice(answer.indexOf('\r\n\r\n') + 4));
      expect(Buffer.from(bytes, 'latin1').toString()).toBe(whole);
    }
  });
});

/** The body of chunks (RFC 9112, 7.1). @throws where one is not as long as it says */
function unchunked(sent: string): string {
  let body = '';
  let rest = sent;
  for (;;) {
    const [size = ''] = /^[0-9a-f]+(?=\r\n)/.exec(rest) ?? [];
    const start = size.length + 2;
    const end = start + Number.parseInt(size, 16);
    if (size === '0') return body;
    if (rest.slice(end, end + 2) !== '\r\n') throw new Error(`This is no chunk: ${rest}`);
    body += rest.slice(start, end);
    rest = rest.slice(end + 2);
  }
}
