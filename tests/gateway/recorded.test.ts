/** Recorded first, recorded before done (invariants 1 and 2). */
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
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
  windowThatEnds,
  type Access,
  type LogEntry,
  type RunningBroker,
} from '../support/running-broker.ts';
import {
  anthropicJson,
  anthropicStream,
  hold,
  openaiJson,
  openaiStream,
  type Handler,
} from '../support/scripted-upstream.ts';

let running: RunningBroker;
let access: Access;

/** Locks that a failed test left behind must not fail the next one. */
const locks: (() => void)[] = [];
const lockLog = (): (() => void) => {
  const release = running.lockLog();
  locks.push(release);
  return release;
};

beforeAll(async () => {
  running = await startRunningBroker();
});
afterEach(() => {
  for (const release of locks.splice(0)) release();
  running.checkUpstream();
});
afterAll(() => running.close());

const CALLS: [string, Handler, (access: Access) => Promise<unknown>][] = [
  ['a chat', openaiJson(), ({ openai }) => openai.chat.completions.create(HELLO)],
  [
    'a streamed chat',
    openaiStream(),
    async ({ openai }) => drain(await openai.chat.completions.create({ ...HELLO, stream: true })),
  ],
  ['a message', anthropicJson(), ({ anthropic }) => anthropic.messages.create(HELLO_ANTHROPIC)],
  [
    'a streamed message',
    anthropicStream(),
    ({ anthropic }) => anthropic.messages.stream(HELLO_ANTHROPIC).finalMessage(),
  ],
];

describe('invariant 1: recorded first', () => {
  it.each(CALLS)(
    'when %s reaches the upstream, its intent is in the log',
    async (_, handler, call) => {
      access = await running.access();
      let seen: LogEntry[] | undefined;
      running.upstream.respond(async (req, res) => {
        seen = running.entries({ grant: access.grant.id });
        await handler(req, res);
      });
      await call(access);
      const requests = (seen ?? []).filter(({ kind }) => kind.startsWith('request.'));
      expect(requests).toMatchObject([
        {
          kind: 'request.intent',
          decision: 'allowed',
          person: running.people.researcher.id,
          model: MODEL,
          data: {
            safeguardsLifted: ['output-classifier'],
            requestCommitment: expect.stringMatching(/^[\w+/]{43}=$/) as string,
          },
        },
      ]);
    },
  );

  it.each(CALLS)(
    'while the log cannot be written, %s is refused with 503 within a second, and goes nowhere',
    async (_, handler, call) => {
      access = await running.access();
      running.upstream.respond(handler);
      const before = running.upstream.requests.length;
      const release = lockLog();
      const started = performance.now();
      const error = await errorOf(call(access));
      expect(performance.now() - started).toBeLessThan(1_000);
      expect([error.status, codeOf(error)]).toEqual([503, 'log_unavailable']);
      expect(error.headers?.get('x-should-retry')).toBe('true');
      release();
      await call(access);
      expect(running.upstream.requests.length).toBe(before + 1);
      expect(running.sums(access.grant)).toMatchObject({ requestsSettled: 1, requestsReserved: 0 });
    },
  );

  it('while the log cannot be written, the list of models is refused too, and so is a refusal', async () => {
    access = await running.access();
    lockLog();
    const [list, refused] = await Promise.all([
      errorOf(access.openai.models.list()),
      errorOf(access.openai.chat.completions.create({ ...HELLO, model: 'model-x' })),
    ]);
    expect([list.status, refused.status]).toEqual([503, 503]);
    expect([codeOf(list), codeOf(refused)]).toEqual(['log_unavailable', 'log_unavailable']);
  });
});

describe('invariant 2: recorded before done', () => {
  const STREAMS: [string, Handler, string, object, string][] = [
    ['[DONE]', openaiStream(), '/v1/chat/completions', HELLO, 'data: [DONE]'],
    ['message_stop', anthropicStream(), '/v1/messages', HELLO_ANTHROPIC, 'event: message_stop'],
  ];

  it.each(STREAMS)('%s waits until the outcome is durable', async (_, handler, path, body, end) => {
    access = await running.access();
    const release = handUpstreamTheLock(handler);
    const answer = await post(running.url + path, access.token, { ...body, stream: true });
    const text = readText(answer);
    await eventually(() => expect(text.soFar()).toContain('lo.'));
    await release.whenAnswered;
    // Long enough for it to come through, had it not been held back.
    await delay(100);
    expect(text.soFar()).not.toContain(end);
    release.now();
    await eventually(() => expect(text.soFar()).toContain(end));
    const [outcome] = running.entries({ kind: 'request.outcome', grant: access.grant.id });
    expect(outcome).toMatchObject({
      data: { end: 'completed', usage: { inputTokens: 11, outputTokens: 7, source: 'reported' } },
    });
    await text.all;
  });

  it.each([
    ['a chat', openaiJson(), '/v1/chat/completions', HELLO],
    ['a message', anthropicJson(), '/v1/messages', HELLO_ANTHROPIC],
  ])('the answer to %s waits until the outcome is durable', async (_, handler, path, body) => {
    access = await running.access();
    const release = handUpstreamTheLock(handler);
    let answered = false;
    const asked = post(running.url + path, access.token, body).then((answer) => {
      answered = true;
      return answer;
    });
    await release.whenAnswered;
    await delay(100);
    expect(answered).toBe(false);
    release.now();
    expect((await asked).status).toBe(200);
    expect(running.entries({ kind: 'request.outcome', grant: access.grant.id })).toHaveLength(1);
  });

  it.each(CALLS)(
    'where the outcome cannot be recorded, %s raises; it is recorded as soon as that is possible',
    async (_, handler, call) => {
      access = await running.access();
      const release = handUpstreamTheLock(handler);
      const error = await errorOf(call(access));
      expect(codeOf(error)).toBe('log_unavailable');
      // It was forwarded: what is said must not deny it.
      expect(error.message).not.toContain('nothing is forwarded');
      release.now();
      const outcome = await running.outcomeOf(access.grant);
      expect(outcome).toMatchObject({
        data: { end: 'completed', usage: { source: 'reported' }, charged: { requests: 1 } },
      });
      expect(running.sums(access.grant)).toEqual({
        requestsSettled: 1,
        requestsReserved: 0,
        tokensSettled: 18,
        tokensReserved: 0,
      });
    },
  );

  it('the error of a stream that is cut does not wait for a log that hangs', async () => {
    const { until, window } = windowThatEnds();
    access = await running.access({ window });
    const asked = running.onceAsked(hold());
    const stream = await access.openai.chat.completions.create({ ...HELLO, stream: true });
    const raised = errorOf(drain(stream)).then((error) => ({ error, at: Date.now() }));
    await asked;
    const release = lockLog();
    const { error, at } = await raised;
    expect(codeOf(error)).toBe('grant_expired');
    expect(at - until).toBeLessThan(250);
    release();
    expect(await running.outcomeOf(access.grant)).toMatchObject({
      reason: 'grant_expired',
      data: { end: 'cut' },
    });
  });

  it('a request that is refused by a budget is on record like any other refusal', async () => {
    access = await running.access({ budgets: { tokens: 10 } });
    const error = await errorOf(access.openai.chat.completions.create(HELLO));
    expect(codeOf(error)).toBe('quota_exhausted');
    expect(running.entries({ grant: access.grant.id, kind: 'request.denied' })).toMatchObject([
      { reason: 'quota_exhausted', model: MODEL },
    ]);
  });
});

describe('the outcome', () => {
  it('flags an answer from another model than the one asked for', async () => {
    for (const handler of [openaiJson({ model: SECOND_MODEL }), openaiJson({ model: MODEL })]) {
      access = await running.access();
      running.upstream.respond(handler);
      await access.openai.chat.completions.create(HELLO);
      const { data } = await running.outcomeOf(access.grant);
      const answered = data?.['modelAnswered'];
      expect(data?.['modelMismatch']).toBe(answered === MODEL ? undefined : true);
    }
  });
});

/** Lets the upstream take the log's lock as soon as it has the request, and answer only then. */
function handUpstreamTheLock(handler: Handler): { whenAnswered: Promise<void>; now(): void } {
  let release = (): void => undefined;
  let answered = (): void => undefined;
  const whenAnswered = new Promise<void>((resolve) => (answered = resolve));
  running.upstream.respond(async (req, res) => {
    release = lockLog();
    res.once('finish', answered);
    await handler(req, res);
  });
  return { whenAnswered, now: () => release() };
}

/** Reads an answer as it comes. */
function readText(answer: Response): { soFar(): string; all: Promise<string> } {
  let text = '';
  const all = (async () => {
    const decoder = new TextDecoder();
    for await (const chunk of answer.body ?? [])
      text += decoder.decode(chunk as Uint8Array, { stream: true });
    return text;
  })();
  return { soFar: () => text, all };
}
