/** Limits and budgets, as clients meet them. */
import type { ServerResponse } from 'node:http';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import {
  HELLO,
  HELLO_ANTHROPIC,
  codeOf,
  drain,
  errorOf,
  post,
  startRunningBroker,
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

const MAX_RESPONSE_BYTES = 100_000;

let running: RunningBroker;
let chat: string;

beforeAll(async () => {
  running = await startRunningBroker({ gateway: { maxResponseBytes: MAX_RESPONSE_BYTES } });
  chat = `${running.url}/v1/chat/completions`;
});
afterEach(() => {
  running.checkUpstream();
  running.upstream.respond(openaiJson());
});
afterAll(() => running.close());

/** SDKs with their own ideas of retrying, and how often they tried. */
function retrying(token: string): { openai: OpenAI; anthropic: Anthropic; attempts: () => number } {
  let attempts = 0;
  const counted: typeof fetch = (...args) => {
    attempts += 1;
    return fetch(...args);
  };
  return {
    openai: new OpenAI({ baseURL: `${running.url}/v1`, apiKey: token, fetch: counted }),
    anthropic: new Anthropic({ baseURL: running.url, apiKey: token, fetch: counted }),
    attempts: () => attempts,
  };
}

describe('a budget of requests', () => {
  it('of one passes one of a thousand that come at once', async () => {
    const { grant, token } = await running.access({ budgets: { requests: 1 } });
    const before = running.upstream.requests.length;
    const answers = await Promise.all(
      Array.from({ length: 1_000 }, async () => {
        const answer = await post(chat, token, HELLO);
        const body = (await answer.json()) as { error?: { code: string } };
        return `${answer.status} ${body.error?.code ?? 'ok'}`;
      }),
    );
    expect(answers.filter((answer) => answer === '200 ok')).toHaveLength(1);
    expect(answers.filter((answer) => answer === '403 quota_exhausted')).toHaveLength(999);
    expect(running.upstream.requests.length).toBe(before + 1);
    expect(running.sums(grant)).toMatchObject({ requestsSettled: 1, requestsReserved: 0 });
  });

  it('is final: no SDK tries again', async () => {
    const { token } = await running.access({ budgets: { requests: 1 } });
    const { openai, anthropic, attempts } = retrying(token);
    await openai.chat.completions.create(HELLO);
    for (const call of [
      () => openai.chat.completions.create(HELLO),
      () => anthropic.messages.create(HELLO_ANTHROPIC),
    ]) {
      const error = await errorOf(call());
      expect([error.status, codeOf(error)]).toEqual([403, 'quota_exhausted']);
      expect(error.headers?.get('x-should-retry')).toBe('false');
      expect(error.headers?.get('retry-after')).toBeNull();
    }
    expect(attempts()).toBe(3);
  });

  it('is not touched by what is refused', async () => {
    const { token, openai, grant } = await running.access({
      budgets: { requests: 1 },
      limits: { requestsPerMinute: 1, concurrent: 1 },
    });
    for (const wrong of [
      { ...HELLO, model: 'model-x' },
      { ...HELLO, service_tier: 'flex' },
      { ...HELLO, max_tokens: 1_000_000 },
      { ...HELLO, messages: 'none' },
      '{"model":',
    ])
      expect((await post(chat, token, wrong)).status).toBeGreaterThanOrEqual(400);
    await openai.models.list();
    await openai.chat.completions.create(HELLO);
    expect(running.sums(grant)).toMatchObject({ requestsSettled: 1, requestsReserved: 0 });
  });

  it('per person holds for each of them', async () => {
    const { researcher, secondResearcher } = running.people;
    const grant = await running.grant(
      { perPerson: { budgets: { requests: 1 } }, budgets: { requests: 3 } },
      [researcher, secondResearcher],
    );
    const first = await running.tokenFor(researcher, grant);
    const second = await running.tokenFor(secondResearcher, grant);
    await first.openai.chat.completions.create(HELLO);
    const error = await errorOf(first.openai.chat.completions.create(HELLO));
    expect([error.status, codeOf(error)]).toEqual([403, 'quota_exhausted']);
    expect(error.message).toContain('per person');
    await second.openai.chat.completions.create(HELLO);
  });
});

describe('a budget of tokens', () => {
  it('is charged what was used, and covers no request that might exceed it', async () => {
    const { openai, grant } = await running.access({ budgets: { tokens: 1_500 } });
    running.upstream.respond(openaiJson({ usage: { inputTokens: 300, outputTokens: 700 } }));
    await openai.chat.completions.create({ ...HELLO, max_tokens: 1000 });
    expect(running.sums(grant)).toMatchObject({ tokensSettled: 1000, tokensReserved: 0 });
    const error = await errorOf(openai.chat.completions.create({ ...HELLO, max_tokens: 500 }));
    expect([error.status, codeOf(error)]).toEqual([403, 'quota_exhausted']);
    expect(error.message).toContain('500 left');
    await openai.chat.completions.create({ ...HELLO, max_tokens: 100 });
  });

  it('that requests in flight hold in reserve is a matter of waiting', async () => {
    const { token, openai } = await running.access({ budgets: { tokens: 1_500 } });
    const held = hold();
    running.upstream.respond(held);
    const answer = await post(chat, token, { ...HELLO, max_tokens: 1000, stream: true });
    const error = await errorOf(openai.chat.completions.create({ ...HELLO, max_tokens: 500 }));
    expect([error.status, codeOf(error)]).toEqual([429, 'budget_in_use']);
    held.release();
    await answer.text();
    running.upstream.respond(openaiJson());
    await openai.chat.completions.create({ ...HELLO, max_tokens: 500 });
  });

  it('counts an answer that cost more than was reserved, and says so in the outcome', async () => {
    const { openai, grant } = await running.access({ budgets: { tokens: 10_000 } });
    running.upstream.respond(openaiJson({ usage: { inputTokens: 9_000, outputTokens: 2_000 } }));
    await openai.chat.completions.create(HELLO);
    expect((await running.outcomeOf(grant)).data).toMatchObject({
      overrun: true,
      charged: { tokens: 11_000 },
    });
    expect(codeOf(await errorOf(openai.chat.completions.create(HELLO)))).toBe('quota_exhausted');
  });
});

describe('a limit per minute', () => {
  it('is a 429 that SDKs may retry, after a time that they heed', async () => {
    const { openai, anthropic } = await running.access({ limits: { requestsPerMinute: 1 } });
    await openai.chat.completions.create(HELLO);
    for (const call of [
      () => openai.chat.completions.create(HELLO),
      () => anthropic.messages.create(HELLO_ANTHROPIC),
    ]) {
      const error = await errorOf(call());
      expect([error.status, codeOf(error)]).toEqual([429, 'request_rate_limited']);
      expect(error.headers?.get('x-should-retry')).toBe('true');
      const retryAfter = error.headers?.get('retry-after') ?? '';
      expect(retryAfter).toMatch(/^\d+$/);
      expect(Number(retryAfter)).toBeGreaterThanOrEqual(55);
      expect(Number(retryAfter)).toBeLessThanOrEqual(60);
    }
  });

  it('of tokens is one too; a request that can never fit is told so', async () => {
    const { openai } = await running.access({ limits: { tokensPerMinute: 1_200 } });
    running.upstream.respond(openaiJson({ usage: { inputTokens: 500, outputTokens: 500 } }));
    await openai.chat.completions.create({ ...HELLO, max_tokens: 900 });
    const later = await errorOf(openai.chat.completions.create({ ...HELLO, max_tokens: 900 }));
    expect([later.status, codeOf(later)]).toEqual([429, 'token_rate_limited']);
    const never = await errorOf(openai.chat.completions.create({ ...HELLO, n: 4 }));
    expect([never.status, codeOf(never)]).toEqual([403, 'request_too_large_for_limit']);
  });

  it("stands in the headers of OpenAI's dialect; what is used up is left out", async () => {
    const { openai } = await running.access({
      limits: { requestsPerMinute: 2, tokensPerMinute: 100_000 },
    });
    const first = await openai.chat.completions.create(HELLO).asResponse();
    const headers = Object.fromEntries(
      [...first.headers].filter(([name]) => name.startsWith('x-ratelimit')),
    );
    expect(headers).toEqual({
      'x-ratelimit-limit-requests': '2',
      'x-ratelimit-remaining-requests': '1',
      'x-ratelimit-reset-requests': expect.stringMatching(/^(5\ds|1m[0-2]s)$/) as string,
      'x-ratelimit-limit-tokens': '100000',
      'x-ratelimit-remaining-tokens': expect.stringMatching(/^9\d{4}$/) as string,
      'x-ratelimit-reset-tokens': expect.stringMatching(/^(5\ds|1m[0-2]s)$/) as string,
    });
    const second = await openai.chat.completions.create(HELLO).asResponse();
    expect(second.headers.get('x-ratelimit-limit-requests')).toBe('2');
    expect(second.headers.has('x-ratelimit-remaining-requests')).toBe(false);
  });

  it("stands in the headers of Anthropic's dialect; what is used up is left out", async () => {
    const { anthropic } = await running.access({
      limits: { requestsPerMinute: 2, tokensPerMinute: 100_000 },
    });
    running.upstream.respond(anthropicJson());
    const first = await anthropic.messages.create(HELLO_ANTHROPIC).asResponse();
    for (const kind of ['requests', 'tokens', 'input-tokens', 'output-tokens']) {
      const name = `anthropic-ratelimit-${kind}`;
      expect(Number(first.headers.get(`${name}-limit`))).toBe(kind === 'requests' ? 2 : 100_000);
      expect(Number(first.headers.get(`${name}-remaining`))).toBeGreaterThan(0);
      const wait = Date.parse(first.headers.get(`${name}-reset`) ?? '') - Date.now();
      expect(wait).toBeGreaterThan(50_000);
      expect(wait).toBeLessThan(62_000);
    }
    const second = await anthropic.messages.create(HELLO_ANTHROPIC).asResponse();
    expect(second.headers.has('anthropic-ratelimit-requests-remaining')).toBe(false);
    expect(second.headers.get('anthropic-ratelimit-requests-limit')).toBe('2');
  });
});

describe('a limit of concurrent requests', () => {
  it('is waited for by an unmodified SDK', async () => {
    const { token } = await running.access({ limits: { concurrent: 1 } });
    const { openai, attempts } = retrying(token);
    const held = hold();
    running.upstream.respond(held);
    const occupied = await post(chat, token, { ...HELLO, stream: true });
    running.upstream.respond(openaiJson());
    const waiting = openai.chat.completions.create(HELLO);
    const refused = await errorOf(
      new OpenAI({
        baseURL: `${running.url}/v1`,
        apiKey: token,
        maxRetries: 0,
      }).chat.completions.create(HELLO),
    );
    expect([refused.status, codeOf(refused)]).toEqual([429, 'concurrency_limited']);
    expect(refused.headers?.get('retry-after')).toBe('1');
    held.release();
    await occupied.text();
    expect((await waiting).object).toBe('chat.completion');
    expect(attempts()).toBe(2);
  });

  it('is not leaked by any way in which a request can end', async () => {
    const { token, openai, grant } = await running.access({ limits: { concurrent: 1 } });
    const broken: Handler[] = [
      status(400, { error: { message: 'No.' } }),
      status(401, { error: { message: 'No.' } }),
      status(429, { error: { message: 'Slow down.' } }, { 'retry-after': '5' }),
      status(500, { error: { message: 'Broken.' } }),
      status(503, 'not JSON'),
      status(302, '', { location: 'http://127.0.0.1:1/' }),
      status(204),
      status(200, 'not JSON'),
      status(200, ['not an object']),
      status(200, 'x'.repeat(MAX_RESPONSE_BYTES + 1)),
      (_req, res) => void res.destroy(),
      halfOf('{"model":"model-a-1","choi', 'application/json'),
      halfOf('data: {"choices":[]', 'text/event-stream'),
      openaiStream({ endWith: 'nothing' }),
      openaiStream({ endWith: 'destroy' }),
      openaiStream({ endWith: 'error-event' }),
      openaiStream({ chunks: [] }),
      openaiJson(),
    ];
    for (const handler of broken) {
      for (const stream of [false, true]) {
        running.upstream.respond(handler);
        const answer = await post(chat, token, { ...HELLO, stream });
        await answer.text();
        running.upstream.respond(openaiJson());
        // Not waited for: whoever has heard of the end can go on at once.
        await openai.chat.completions.create(HELLO);
      }
    }
    expect(running.sums(grant)).toMatchObject({
      requestsReserved: 0,
      tokensReserved: 0,
      requestsSettled: broken.length * 4,
    });
    const outcomes = running.entries({ kind: 'request.outcome', grant: grant.id });
    expect(outcomes).toHaveLength(broken.length * 4);
    expect(new Set(outcomes.map(({ ref }) => ref)).size).toBe(broken.length * 4);
  });

  it('per person leaves room for the others', async () => {
    const { researcher, secondResearcher } = running.people;
    const grant = await running.grant({ perPerson: { limits: { concurrent: 1 } } }, [
      researcher,
      secondResearcher,
    ]);
    const first = await running.tokenFor(researcher, grant);
    const second = await running.tokenFor(secondResearcher, grant);
    const held = hold();
    running.upstream.respond(held);
    const stream = await first.openai.chat.completions.create({ ...HELLO, stream: true });
    running.upstream.respond(openaiJson());
    expect(codeOf(await errorOf(first.openai.chat.completions.create(HELLO)))).toBe(
      'concurrency_limited',
    );
    await second.openai.chat.completions.create(HELLO);
    held.release();
    await drain(stream);
    await first.openai.chat.completions.create(HELLO);
  });
});

/** Begins an answer and breaks the connection. */
function halfOf(text: string, type: string): Handler {
  return (_req, res: ServerResponse) => {
    res.writeHead(200, { 'content-type': type, 'content-length': text.length + 1_000 });
    res.write(text, () => res.destroy());
  };
}
