/** `sallyport connect` under limits of a real broker, with unmodified SDKs that try nothing again. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Grant } from '../../src/core/grants.ts';
import type { GrantInput } from '../support/grants.ts';
import {
  HELLO,
  HELLO_ANTHROPIC,
  MODEL,
  codeOf,
  drain,
  errorOf,
  eventually,
  say,
  startRunningBroker,
  type LogEntry,
  type RunningBroker,
} from '../support/running-broker.ts';
import {
  anthropicJson,
  hold,
  openaiJson,
  openaiStream,
  status,
  type Handler,
} from '../support/scripted-upstream.ts';
import { startConnect, type Run } from './connect-run.ts';

const MINUTE_MS = 60_000;

let running: RunningBroker;
/** How much later it is for the broker than it is. */
let ahead = 0;

const clock = (): number => Date.now() + ahead;

beforeAll(async () => {
  running = await startRunningBroker({ clock });
});
afterAll(() => running.close());
beforeEach(() => running.upstream.respond(answerEither));
afterEach(() => running.checkUpstream());

const answerEither: Handler = (req, res) =>
  (req.path.includes('/messages') ? anthropicJson() : openaiJson())(req, res);

const grantWith = (limits: Partial<NonNullable<GrantInput['limits']>>): Promise<Grant> =>
  running.grant({ binding: 'dpop', limits });

const connect = (grant: Grant, ...options: string[]): Promise<Run> =>
  startConnect(running, grant, 'limits', { clock, options });

const deniedOf = (grant: Grant): LogEntry[] =>
  running.entries({ kind: 'request.denied', grant: grant.id });

/** What the upstream was asked since, each by the one thing that is its own. */
function askedSince(first: number): string[] {
  return running.upstream.requests
    .slice(first)
    .map(({ body }) => (body as { messages: { content: string }[] }).messages[0]?.content ?? '');
}

/** Half of them by each vendor's SDK. */
function call(run: Run, name: string, i: number): Promise<unknown> {
  const messages = [say(name)];
  return i % 2 === 0
    ? run.openai.chat.completions.create({ model: MODEL, messages })
    : run.anthropic.messages.create({ model: MODEL, messages, max_tokens: 50 });
}

describe('thirty calls at once', () => {
  const names = Array.from({ length: 30 }, (_, i) => `call ${i}`);

  it('under a limit of concurrent requests all succeed, and each reaches the upstream once', async () => {
    const grant = await grantWith({ concurrent: 3 });
    const run = await connect(grant);
    const first = running.upstream.requests.length;
    await Promise.all(names.map((name, i) => call(run, name, i)));
    expect(askedSince(first).toSorted()).toEqual(names.toSorted());
    expect(running.sums(grant)).toMatchObject({ requestsSettled: 30, requestsReserved: 0 });
    expect(await run.stop()).toBe(0);
    expect(run.err()).toContain('30 requests passed on.');
  });

  it('never are more than the grant allows, once that is known', async () => {
    const grant = await grantWith({ concurrent: 3 });
    const run = await connect(grant);
    await eventually(() => expect(run.err()).toContain('| grant: '));
    await Promise.all(names.map((name, i) => call(run, name, i)));
    expect(deniedOf(grant)).toEqual([]);
    expect(run.err()).not.toContain('Waiting: ');
    expect(await run.stop()).toBe(0);
  });
});

describe('a limit per minute', () => {
  it('is waited out: every call succeeds, and reaches the upstream once', async () => {
    const grant = await grantWith({ requestsPerMinute: 10 });
    const run = await connect(grant);
    const began = clock();
    for (let i = 0; i < 10; i += 1) await call(run, `early ${i}`, i);
    // In two seconds the first of them is a minute ago.
    ahead += began + MINUTE_MS - 2_000 - clock();
    const names = Array.from({ length: 8 }, (_, i) => `late ${i}`);
    const first = running.upstream.requests.length;
    await Promise.all(names.map((name, i) => call(run, name, i)));
    expect(askedSince(first).toSorted()).toEqual(names.toSorted());
    expect(running.sums(grant)).toMatchObject({ requestsSettled: 18, requestsReserved: 0 });
    const denied = deniedOf(grant);
    expect(new Set(denied.map(({ reason }) => reason))).toEqual(new Set(['request_rate_limited']));
    expect(
      run.err().match(/Waiting: .*10 requests per minute.*\(request_rate_limited\)/g),
    ).toHaveLength(1);
    expect(run.err()).not.toContain('Refused');
    expect(await run.stop()).toBe(0);
  });

  it('that lasts longer than the wait is told at once, as the broker says it', async () => {
    const grant = await grantWith({ requestsPerMinute: 1 });
    const run = await connect(grant, '--wait', '5');
    await call(run, 'one', 0);
    const refused = await errorOf(call(run, 'two', 0));
    expect([refused.status, codeOf(refused)]).toEqual([429, 'request_rate_limited']);
    expect(Number(refused.headers?.get('retry-after'))).toBeGreaterThan(5);
    expect(deniedOf(grant)).toHaveLength(1);
    expect(await run.stop()).toBe(0);
  });
});

describe('a call that waits', () => {
  it('leaves when its client does: it is never sent, and the next takes its place', async () => {
    const grant = await grantWith({ concurrent: 1 });
    const run = await connect(grant);
    const held = hold();
    const asked = running.onceAsked(held);
    const stream = await run.openai.chat.completions.create({ ...HELLO, stream: true });
    const whole = drain(stream);
    await asked;
    const first = running.upstream.requests.length;
    const leaving = new AbortController();
    const messages = [say('gone')];
    const gone = errorOf(
      run.openai.chat.completions.create({ model: MODEL, messages }, { signal: leaving.signal }),
    );
    await eventually(() => expect(run.err()).toContain('1 waiting'));
    const waiting = call(run, 'stays', 0);
    running.upstream.respond(answerEither);
    leaving.abort();
    expect((await gone).name).toBe('Error');
    held.release();
    expect((await whole).length).toBeGreaterThan(1);
    await waiting;
    expect(askedSince(first)).toEqual(['stays']);
    expect(await run.stop()).toBe(0);
    expect(running.sums(grant)).toMatchObject({ requestsSettled: 2, requestsReserved: 0 });
  });

  it('is stopped by an order like any other', async () => {
    const grant = await grantWith({ concurrent: 1 });
    const run = await connect(grant);
    const asked = running.onceAsked(hold());
    const stream = await run.openai.chat.completions.create({ ...HELLO, stream: true });
    const cut = errorOf(drain(stream));
    await asked;
    const first = running.upstream.requests.length;
    const refused = errorOf(run.anthropic.messages.create(HELLO_ANTHROPIC));
    await eventually(() => expect(run.err()).toContain('1 waiting'));
    const { people, api } = running;
    await api.post(people.safety, '/orders?confirmed=true', {
      selector: { grant: grant.id },
      grounds: 'Enough',
    });
    expect(codeOf(await cut)).toBe('grant_suspended');
    expect(codeOf(await refused)).toBe('grant_suspended');
    expect(askedSince(first)).toEqual([]);
    expect(await run.stop()).toBe(0);
  });

  it('for a stream gets it whole, as it goes', async () => {
    const grant = await grantWith({ concurrent: 2 });
    const run = await connect(grant);
    running.upstream.respond(openaiStream({ chunks: ['one ', 'two'] }));
    const streams = Array.from({ length: 6 }, async () =>
      drain(await run.openai.chat.completions.create({ ...HELLO, stream: true })),
    );
    for (const chunks of await Promise.all(streams)) {
      const said = chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join('');
      expect(said).toBe('one two');
    }
    expect(await run.stop()).toBe(0);
  });
});

it('with --wait 0 the SDK is told at once, and the upstream is asked for nothing', async () => {
  const grant = await grantWith({ concurrent: 1 });
  const run = await connect(grant, '--wait', '0');
  const held = hold();
  running.upstream.respond(held);
  const stream = await run.openai.chat.completions.create({ ...HELLO, stream: true });
  const whole = drain(stream);
  const first = running.upstream.requests.length;
  const asked = [call(run, 'two', 0), call(run, 'three', 1)];
  for (const refused of await Promise.all(asked.map(errorOf))) {
    expect([refused.status, codeOf(refused)]).toEqual([429, 'concurrency_limited']);
    expect(refused.headers?.get('x-should-retry')).toBe('true');
  }
  expect(deniedOf(grant)).toHaveLength(2);
  expect(askedSince(first)).toEqual([]);
  held.release();
  await whole;
  expect(await run.stop()).toBe(0);
});

it('what the upstream refuses with 429 is passed back, and asked for once', async () => {
  const grant = await grantWith({ concurrent: 2 });
  const run = await connect(grant);
  const error = { type: 'rate_limit_error', code: 'concurrency_limited', message: 'Slow down.' };
  const headers = { 'retry-after': '1', 'x-should-retry': 'true' };
  const first = running.upstream.requests.length;
  for (const i of [0, 1]) {
    running.upstream.respond(status(429, { type: 'error', error }, headers));
    const refused = await errorOf(call(run, `call ${i}`, i));
    expect([refused.status, codeOf(refused)]).toEqual([429, 'concurrency_limited']);
    expect(refused.headers?.get('x-sallyport-source')).toBe('upstream');
  }
  expect(askedSince(first)).toEqual(['call 0', 'call 1']);
  expect(run.err()).not.toContain('Waiting: ');
  expect(await run.stop()).toBe(0);
});
