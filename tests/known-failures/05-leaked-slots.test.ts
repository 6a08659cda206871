/** Known failure 5: a place among the concurrent requests comes back, however its request ended. */
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  HELLO,
  eventually,
  post,
  startRunningBroker,
  type Access,
  type RunningBroker,
} from '../support/running-broker.ts';
import {
  hang,
  hold,
  openaiJson,
  openaiStream,
  status,
  type Handler,
} from '../support/scripted-upstream.ts';

/** Places that the grant has. */
const CONCURRENT = 6;

/** Schedules, and requests of each. */
const SCHEDULES = 25;
const MOST_REQUESTS = 40;

interface End {
  /** What the upstream does; without this, the request is refused before. */
  handler?: Handler;
  /** Changes to the request. */
  body?: object;
  stream?: boolean;
  /** When the client leaves by itself. */
  leave?: 'once asked' | 'once answered';
}

const words = { chunks: ['one ', 'two ', 'three '] };
const ENDS: Record<string, End> = {
  'a whole answer': { handler: openaiJson() },
  'a whole stream': { handler: openaiStream(words), stream: true },
  'an error of the upstream': { handler: status(500, { error: { message: 'No.' } }) },
  'too many requests at the upstream': { handler: status(429, { error: { message: 'Slow.' } }) },
  'a refused credential': { handler: status(401, { error: { message: 'Who?' } }), stream: true },
  'a redirect': { handler: status(302, '', { location: 'http://127.0.0.1:1/' }) },
  'an answer that is no JSON': { handler: status(200, 'Hello.') },
  'a document in place of a stream': { handler: openaiJson(), stream: true },
  'a connection that breaks before the answer': { handler: (_req, res) => void res.destroy() },
  'a stream that breaks': { handler: openaiStream({ ...words, endWith: 'destroy' }), stream: true },
  'a stream without an end': {
    handler: openaiStream({ ...words, endWith: 'nothing' }),
    stream: true,
  },
  'a stream that ends with an error': {
    handler: openaiStream({ ...words, endWith: 'error-event' }),
    stream: true,
  },
  'a client that leaves before the answer': { handler: hang(), leave: 'once asked' },
  'a client that leaves before the stream': { handler: hang(), stream: true, leave: 'once asked' },
  'a client that leaves in the stream': {
    handler: hold(words),
    stream: true,
    leave: 'once answered',
  },
  'a refused model': { body: { model: 'model-x' } },
  'an unknown field': { body: { service_tier: 'flex' } },
  'a refused feature': { body: { logprobs: true } },
  'a body that is not one': { body: { messages: 'none' } },
  'more answers than allowed': { body: { n: 9 } },
};

let running: RunningBroker;
beforeAll(async () => {
  running = await startRunningBroker();
});
afterAll(() => running.close());

/** Whom to tell that the upstream was asked, by the request's mark. */
const waiting = new Map<string, () => void>();
let marks = 0;

describe('known failure 5: leaked slots', () => {
  it(
    'every place is free again, whatever ended in whatever order',
    { timeout: 60_000 },
    async () => {
      const ends = new Set<string>();
      const schedule = fc.array(fc.constantFrom(...Object.keys(ENDS)), {
        minLength: 10,
        maxLength: MOST_REQUESTS,
        size: 'max',
      });
      await fc.assert(
        fc.asyncProperty(schedule, async (names) => {
          const access = await running.access({
            limits: { concurrent: CONCURRENT },
          });
          const before = running.upstream.requests.length;
          running.upstream.respond((req, res) => {
            const { messages } = req.body as { messages: { content: string }[] };
            const [mark = '', name = ''] = messages[0]?.content.split(': ', 2) ?? [];
            waiting.get(mark)?.();
            const { handler } = ENDS[name] ?? {};
            if (!handler) throw new Error(`"${name}" was forwarded`);
            return handler(req, res);
          });
          await Promise.all(names.map((name) => run(access, name)));
          for (const name of names) ends.add(name);
          running.checkUpstream();
          await expectNothingHeld(access);
          // Refused requests cost none: what was charged is what reached the upstream.
          const forwarded = running.upstream.requests.length - before;
          expect(running.sums(access.grant)?.requestsSettled ?? 0).toBe(forwarded);
          await expectAllPlaces(access);
        }),
        { numRuns: SCHEDULES, endOnFailure: true },
      );
      expect([...ends].sort()).toEqual(Object.keys(ENDS).sort());
    },
  );
});

/** Makes a request that ends in that way, or is refused for want of a place. */
async function run({ token }: Access, name: string): Promise<void> {
  const { body, stream = false, leave } = ENDS[name] as End;
  const mark = String((marks += 1));
  const asked = new Promise<void>((resolve) => waiting.set(mark, resolve));
  const abort = new AbortController();
  const answered = fetch(`${running.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({
      ...HELLO,
      messages: [{ role: 'user', content: `${mark}: ${name}` }],
      max_tokens: 50,
      stream,
      ...body,
    }),
    signal: abort.signal,
  });
  const whole = answered.then((answer) => answer.text());
  const over = whole.then(
    () => undefined,
    () => undefined,
  );
  if (leave === 'once asked') await Promise.race([asked, over]);
  if (leave === 'once answered')
    await answered.then(
      () => undefined,
      () => undefined,
    );
  if (leave) abort.abort();
  await over;
  waiting.delete(mark);
}

async function expectNothingHeld({ grant }: Access): Promise<void> {
  await eventually(() => {
    expect(running.test.broker.live.count).toBe(0);
    const { requestsReserved = 0, tokensReserved = 0 } = running.sums(grant) ?? {};
    expect([requestsReserved, tokensReserved]).toEqual([0, 0]);
  });
}

/** As many requests as there are places pass at the same time, and not one more. */
async function expectAllPlaces({ token }: Access): Promise<void> {
  const held = hold();
  running.upstream.respond(held);
  const ask = (): Promise<Response> =>
    post(`${running.url}/v1/chat/completions`, token, { ...HELLO, stream: true });
  const streams = await Promise.all(Array.from({ length: CONCURRENT }, ask));
  expect(streams.map(({ status: code }) => code)).toEqual(streams.map(() => 200));
  expect((await ask()).status).toBe(429);
  held.release();
  await Promise.all(streams.map((stream) => stream.text()));
}
