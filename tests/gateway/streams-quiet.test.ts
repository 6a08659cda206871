/** Streams in which nothing happens for a while: kept alive, but not for ever. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  HELLO,
  codeOf,
  drain,
  errorOf,
  post,
  startRunningBroker,
  type RunningBroker,
} from '../support/running-broker.ts';
import { rawStream, streamRequest } from '../support/raw-stream.ts';
import { hang, hold, openaiStream, type Handler } from '../support/scripted-upstream.ts';

const COMMENT = ': keep-alive\n\n';

let running: RunningBroker;

beforeAll(async () => {
  running = await startRunningBroker({
    gateway: { keepAliveSeconds: 0.05, firstByteSeconds: 1, idleSeconds: 1, requestSeconds: 3 },
  });
});
afterEach(() => running.checkUpstream());
afterAll(() => running.close());

/** The chunks of an answer that was read raw, put together. */
const bodyOf = (text: string): string =>
  text.slice(text.indexOf('\r\n\r\n') + 4).replaceAll(/[0-9a-f]+\r\n([^\r]*)\r\n/g, '$1');

/** Sends an event in two halves; the second when it is told. */
function halves(event: string, rest: string): Handler & { goOn(): void } {
  let goOn = (): void => undefined;
  const told = new Promise<void>((resolve) => (goOn = resolve));
  const handler: Handler = async (_req, res) => {
    res.writeHead(200, { 'content-type': 'text/event-stream' });
    res.write(event.slice(0, event.length / 2));
    await told;
    res.end(event.slice(event.length / 2) + rest);
  };
  return Object.assign(handler, { goOn: () => goOn() });
}

describe('a silent upstream', () => {
  it('is bridged with comments, which SDKs skip', async () => {
    const access = await running.access();
    const held = hold({ chunks: ['one ', 'two'] });
    running.upstream.respond(held);
    const raw = rawStream(running.url, streamRequest(access.token));
    await raw.has(`${COMMENT}\r\n${COMMENT.length.toString(16)}\r\n${COMMENT}`);
    const sdk = access.openai.chat.completions.create({ ...HELLO, stream: true });
    await raw.has(`${COMMENT}\r\n${COMMENT.length.toString(16)}\r\n${COMMENT}`);
    held.release();
    const items = await drain(await sdk);
    expect(items.map((item) => item.choices[0]?.delta.content ?? '').join('')).toBe('one two');
    await raw.has('[DONE]');
    running.upstream.respond(openaiStream({ chunks: ['one ', 'two'] }));
    const whole = await post(`${running.url}/v1/chat/completions`, access.token, {
      ...HELLO,
      stream: true,
    });
    expect(bodyOf(raw.text()).replaceAll(COMMENT, '').trimEnd()).toBe(
      (await whole.text()).trimEnd(),
    );
  });

  it('in the middle of an event gets no comment into it', async () => {
    const access = await running.access();
    const event = `data: ${JSON.stringify({ choices: [{ delta: { content: 'Hi' } }] })}\n\n`;
    const handler = halves(event, 'data: [DONE]\n\n');
    running.upstream.respond(handler);
    const raw = rawStream(running.url, streamRequest(access.token));
    await raw.has(COMMENT);
    handler.goOn();
    await raw.has('[DONE]');
    expect(bodyOf(raw.text())).toMatch(/^(: keep-alive\n\n)+data: \{.*\}\n\ndata: \[DONE\]\n\n/);
  });

  it('is given up all the same when it has been silent for too long', async () => {
    const access = await running.access();
    const index = running.upstream.requests.length;
    running.upstream.respond(hold());
    const raw = rawStream(running.url, streamRequest(access.token));
    await raw.has('"code":"upstream_timeout"');
    expect(raw.text()).toContain(COMMENT);
    await running.upstream.waitForAbort(index);
    expect(await running.outcomeOf(access.grant)).toMatchObject({
      reason: 'upstream_timeout',
      data: { end: 'upstream_incomplete', usage: { source: 'estimated' } },
    });
  });

  it('gets none before its headers: until then, an error can still have a status', async () => {
    const access = await running.access();
    running.upstream.respond(hang());
    const error = await errorOf(
      access.openai.chat.completions.create({ ...HELLO, stream: true }).then(drain),
    );
    expect([error.status, codeOf(error)]).toEqual([504, 'upstream_timeout']);
  });
});

describe('comments', () => {
  it('are not sent where the configuration says 0', async () => {
    const quiet = await startRunningBroker({ gateway: { keepAliveSeconds: 0, idleSeconds: 1 } });
    const access = await quiet.access();
    quiet.upstream.respond(hold());
    const answer = await post(`${quiet.url}/v1/chat/completions`, access.token, {
      ...HELLO,
      stream: true,
    });
    const text = await answer.text();
    expect(text).toContain('"code":"upstream_timeout"');
    expect(text).not.toMatch(/^:/m);
    await quiet.close();
  });
});
