/** The lines of the operational log that there is one of for each request, and what the client is told of its time. */
import { Writable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createLogger, type Logger } from '../../src/lib/log.ts';
import {
  HELLO,
  HELLO_ANTHROPIC,
  MODEL,
  drain,
  errorOf,
  eventually,
  post,
  startRunningBroker,
  type RunningBroker,
} from '../support/running-broker.ts';
import { hold, openaiJson, openaiStream, status } from '../support/scripted-upstream.ts';

interface Line {
  level: number;
  msg: string;
  requestId?: string;
  [field: string]: unknown;
}

/** A log that is kept in memory. */
function memoryLog(): { log: Logger; lines: () => Line[] } {
  const texts: string[] = [];
  const sink = new Writable({
    write(chunk: Buffer, _encoding, done) {
      texts.push(String(chunk));
      done();
    },
  });
  const lines = (): Line[] => texts.map((text) => JSON.parse(text) as Line);
  return { log: createLogger({ level: 'info' }, sink), lines };
}

const memory = memoryLog();
let running: RunningBroker;

beforeAll(async () => {
  running = await startRunningBroker({ log: memory.log });
});
afterAll(() => running.close());

/** The only line about a request. */
const lineOf = (requestId: string | null | undefined): Line => {
  const [line, ...more] = memory.lines().filter((one) => one.requestId === requestId);
  if (!line || more.length > 0) throw new Error(`${more.length} lines too many about ${requestId}`);
  return line;
};

describe('the line of a request', () => {
  it('says how it ended, what it used and where its time went', async () => {
    const { openai, grant } = await running.access();
    running.upstream.respond(async (req, res) => {
      await delay(20);
      return openaiJson({ usage: { inputTokens: 11, outputTokens: 7 }, model: MODEL })(req, res);
    });
    const { response } = await openai.chat.completions.create(HELLO).withResponse();
    const line = lineOf(response.headers.get('x-request-id'));
    expect(line).toEqual({
      level: 30,
      time: expect.any(String) as string,
      requestId: response.headers.get('x-request-id'),
      grant: grant.id,
      endpoint: 'demo',
      operation: 'chat.completions',
      model: MODEL,
      stream: false,
      end: 'completed',
      upstreamStatus: 200,
      inputTokens: 11,
      outputTokens: 7,
      usage: 'reported',
      receiveMs: expect.any(Number) as number,
      gatewayMs: expect.any(Number) as number,
      upstreamMs: expect.any(Number) as number,
      firstByteMs: expect.any(Number) as number,
      msg: 'request ended',
    });
    expect(line['upstreamMs']).toBeGreaterThanOrEqual(19);
    expect(line['upstreamMs']).toBeGreaterThanOrEqual(Number(line['firstByteMs']));
    expect(line['gatewayMs']).toBeGreaterThan(0);
  });

  it('says that another model answered', async () => {
    const { openai } = await running.access();
    running.upstream.respond(openaiJson({ model: 'model-other' }));
    const { response } = await openai.chat.completions.create(HELLO).withResponse();
    expect(lineOf(response.headers.get('x-request-id'))).toMatchObject({ modelMismatch: true });
  });

  it('says why it was cut, and that it was a stream', async () => {
    const { openai, grant } = await running.access();
    running.upstream.respond(hold({ chunks: ['a'] }));
    const { data, response } = await openai.chat.completions
      .create({ ...HELLO, stream: true })
      .withResponse();
    const revoke = `/grants/${grant.id}/revoke`;
    const cut = errorOf(
      (async () => {
        for await (const _ of data)
          await running.api.post(running.people.admin, revoke, { grounds: 'Over' });
      })(),
    );
    expect((await cut).message).toMatch(/revoked/);
    const line = await eventually(() => lineOf(response.headers.get('x-request-id')));
    expect(line).toMatchObject({
      msg: 'request ended',
      stream: true,
      end: 'cut',
      code: 'grant_revoked',
      usage: 'estimated',
    });
  });

  it('is there once for an upstream that failed, beside the warning', async () => {
    const { openai } = await running.access();
    running.upstream.respond(status(503, { error: { message: 'down' } }));
    const error = await errorOf(openai.chat.completions.create(HELLO));
    const id = error.headers?.get('x-request-id');
    const about = memory.lines().filter(({ requestId }) => requestId === id);
    expect(about.map(({ level, msg }) => [level, msg])).toEqual([
      [40, 'the upstream failed'],
      [30, 'request ended'],
    ]);
    expect(about[1]).toMatchObject({ end: 'upstream_error', upstreamStatus: 503, usage: 'none' });
  });

  it('says so where the outcome could not be recorded', async () => {
    const { openai } = await running.access();
    let unlock = (): void => undefined;
    running.upstream.respond((req, res) => {
      // The intent is durable by now.
      unlock = running.lockLog();
      return openaiJson({ model: MODEL })(req, res);
    });
    const error = await errorOf(openai.chat.completions.create(HELLO));
    unlock();
    expect(error.status).toBe(503);
    const id = error.headers?.get('x-request-id');
    expect(
      memory.lines().filter(({ requestId, msg }) => requestId === id && msg === 'request ended'),
    ).toEqual([expect.objectContaining({ end: 'completed', recorded: false })]);
    await eventually(() => expect(running.test.broker.settler.waiting).toBe(0));
  });

  it('says the code of a refusal of somebody known', async () => {
    const { openai, grant } = await running.access();
    const error = await errorOf(openai.chat.completions.create({ ...HELLO, model: 'model-z' }));
    const line = lineOf(error.headers?.get('x-request-id'));
    expect(line).toEqual({
      level: 30,
      time: expect.any(String) as string,
      requestId: error.headers?.get('x-request-id'),
      grant: grant.id,
      method: 'POST',
      route: '/v1/chat/completions',
      code: 'model_not_granted',
      status: 403,
      msg: 'request refused',
    });
  });

  it('is not there for callers who did not show who they are: they could fill the log', async () => {
    const before = memory.lines().length;
    for (const token of [undefined, 'nobody'])
      expect((await post(`${running.url}/v1/messages`, token, HELLO_ANTHROPIC)).status).toBe(401);
    expect(memory.lines()).toHaveLength(before);
  });

  it.each([
    ['logging.requests is off', { logging: { requests: false } }, 'info'],
    ['the level is warn', {}, 'warn'],
  ])('is not there where %s', async (_why, options, level) => {
    const { log, lines } = memoryLog();
    log.level = level;
    const quiet = await startRunningBroker({ ...options, log });
    try {
      const { openai } = await quiet.access();
      quiet.upstream.respond(openaiJson());
      await openai.chat.completions.create(HELLO);
      await errorOf(openai.chat.completions.create({ ...HELLO, model: 'model-z' }));
      expect(lines().filter(({ requestId }) => requestId !== undefined)).toEqual([]);
    } finally {
      await quiet.close();
    }
  });
});

describe('the server-timing header', () => {
  const durations = (headers: Headers): Record<string, number> =>
    Object.fromEntries(
      (headers.get('server-timing') ?? '').split(', ').map((part) => {
        const [, name = '', ms] = /^([a-z]+);dur=(\d+(?:\.\d)?)$/.exec(part) ?? [];
        return [name, Number(ms)];
      }),
    );

  it.each([
    ['a whole answer', openaiJson({ model: MODEL }), false],
    ['a stream', openaiStream({ model: MODEL }), true],
  ])('stands in %s', async (_what, handler, stream) => {
    const { openai } = await running.access();
    running.upstream.respond(async (req, res) => {
      await delay(30);
      return handler(req, res);
    });
    const { data, response } = await openai.chat.completions
      .create({ ...HELLO, stream })
      .withResponse();
    if (Symbol.asyncIterator in data) await drain(data);
    const { receive, gateway, upstream, ...others } = durations(response.headers);
    expect(others).toEqual({});
    expect(receive).toBeGreaterThanOrEqual(0);
    expect(gateway).toBeGreaterThan(0);
    expect(upstream).toBeGreaterThanOrEqual(29);
  });

  it('counts as ours what a request waits for the log', async () => {
    const { openai } = await running.access();
    running.upstream.respond(openaiJson({ model: MODEL }));
    const unlock = running.lockLog();
    const asked = openai.chat.completions.create(HELLO).withResponse();
    await eventually(() => expect(running.test.broker.store.waiting).toBeGreaterThan(0));
    await delay(60);
    unlock();
    const { response } = await asked;
    const { gateway, upstream } = durations(response.headers);
    expect(gateway).toBeGreaterThanOrEqual(55);
    expect(upstream).toBeGreaterThan(0);
  });
});
