/** What the upstream gets wrong, and what of it the client hears. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import * as anthropicSdk from '@anthropic-ai/sdk';
import * as openaiSdk from 'openai';
import {
  HELLO,
  HELLO_ANTHROPIC,
  HOST_CREDENTIAL,
  codeOf,
  errorOf,
  post,
  startRunningBroker,
  type RunningBroker,
} from '../support/running-broker.ts';
import { openaiJson, status } from '../support/scripted-upstream.ts';

const MAX_RESPONSE_BYTES = 100_000;

let running: RunningBroker;

beforeAll(async () => {
  running = await startRunningBroker({ gateway: { maxResponseBytes: MAX_RESPONSE_BYTES } });
});
afterEach(() => running.checkUpstream());
afterAll(() => running.close());

describe("the upstream's own errors", () => {
  it.each([
    [429, { 'retry-after': '7' }, openaiSdk.RateLimitError, anthropicSdk.RateLimitError],
    [500, {}, openaiSdk.InternalServerError, anthropicSdk.InternalServerError],
    [400, {}, openaiSdk.BadRequestError, anthropicSdk.BadRequestError],
    [413, {}, openaiSdk.APIError, anthropicSdk.APIError],
  ])(
    'of status %i are passed on in its words, marked as its own, and settled',
    async (code, headers, openaiClass, anthropicClass) => {
      const { openai, anthropic, grant } = await running.access();
      const error = { message: 'Said by the upstream.', type: 'some_error', code: 'its_code' };
      running.upstream.respond(status(code, { error }, headers));
      const fromOpenai = await errorOf(openai.chat.completions.create(HELLO));
      expect(fromOpenai).toBeInstanceOf(openaiClass);
      expect(fromOpenai.error).toEqual(error);
      running.upstream.respond(status(code, { type: 'error', error }, headers));
      const fromAnthropic = await errorOf(
        anthropic.messages.create({ ...HELLO_ANTHROPIC, stream: true }),
      );
      expect(fromAnthropic).toBeInstanceOf(anthropicClass);
      for (const raised of [fromOpenai, fromAnthropic]) {
        expect(raised.message).toContain('Said by the upstream.');
        expect(raised.headers?.get('x-sallyport-source')).toBe('upstream');
        expect(raised.headers?.get('x-request-id')).toMatch(/^req_/);
        expect(raised.headers?.get('retry-after')).toBe(new Headers(headers).get('retry-after'));
      }
      const outcomes = running.entries({ kind: 'request.outcome', grant: grant.id });
      expect(outcomes.map(({ data }) => data)).toMatchObject(
        Array.from({ length: 2 }, () => ({
          end: 'upstream_error',
          upstreamStatus: code,
          charged: { requests: 1, tokens: 0 },
        })),
      );
    },
  );

  it('that are no JSON are put in the shape that SDKs read', async () => {
    const { openai } = await running.access();
    running.upstream.respond(status(503, '<html>Service Unavailable</html>'));
    const error = await errorOf(openai.chat.completions.create(HELLO));
    expect([error.status, codeOf(error)]).toEqual([503, 'upstream_error']);
    expect(error.headers?.get('x-sallyport-source')).toBe('upstream');
    expect(error.message).not.toContain('html');
  });

  it.each([401, 403, 407])(
    'of status %i are about the host: its credential stays here',
    async (code) => {
      const { openai, anthropic, grant } = await running.access();
      running.upstream.respond(
        status(
          code,
          { type: 'error', error: { message: `Incorrect API key: ${HOST_CREDENTIAL}` } },
          { 'x-leak': HOST_CREDENTIAL },
        ),
      );
      for (const call of [
        () => openai.chat.completions.create(HELLO),
        () => openai.chat.completions.create({ ...HELLO, stream: true }),
        () => anthropic.messages.create(HELLO_ANTHROPIC),
      ]) {
        const error = await errorOf(call());
        expect([error.status, codeOf(error)]).toEqual([403, 'upstream_credential_refused']);
        expect(
          JSON.stringify([error.message, error.error, [...(error.headers ?? [])]]),
        ).not.toContain(HOST_CREDENTIAL);
        expect(error.headers?.get('x-should-retry')).toBe('false');
      }
      const outcomes = running.entries({ kind: 'request.outcome', grant: grant.id });
      expect(outcomes).toHaveLength(3);
      for (const { reason, data } of outcomes)
        expect([reason, data?.['upstreamStatus']]).toEqual(['upstream_credential_refused', code]);
    },
  );

  it.each([400, 500])('of status %i that quote the credential lose their text', async (code) => {
    const { openai } = await running.access();
    running.upstream.respond(
      status(code, { error: { message: `Bad header: Bearer ${HOST_CREDENTIAL}`, type: 'x' } }),
    );
    const error = await errorOf(openai.chat.completions.create(HELLO));
    expect([error.status, codeOf(error)]).toEqual([code, 'upstream_error']);
    expect(JSON.stringify([error.message, error.error])).not.toContain(HOST_CREDENTIAL);
  });
});

describe('what an upstream says about trying again', () => {
  const soon = (ms: number): string => new Date(Date.now() + ms).toUTCString();

  it.each<[string, Record<string, string>, string | null]>([
    ['seconds', { 'retry-after': '7' }, '7'],
    ['a fraction of a second', { 'retry-after': '0.2' }, '1'],
    ['nothing', { 'retry-after': '0' }, '1'],
    ['an hour', { 'retry-after': '3600' }, '60'],
    ['milliseconds, which are exact', { 'retry-after-ms': '2500', 'retry-after': '9' }, '3'],
    ['a date long past', { 'retry-after': soon(-86_400_000) }, '1'],
    ['a date far away', { 'retry-after': soon(86_400_000) }, '60'],
    ['what is neither', { 'retry-after': 'soon, 2030' }, null],
    ['no word of it', {}, null],
  ])('comes as whole seconds from 1 to 60: %s', async (_, headers, seconds) => {
    const { openai } = await running.access();
    running.upstream.respond(status(429, { error: { message: 'Slow down.' } }, headers));
    const { headers: heard } = await errorOf(openai.chat.completions.create(HELLO));
    expect(heard?.get('retry-after')).toBe(seconds);
    expect(heard?.get('retry-after-ms')).toBeNull();
  });

  it('includes whether to, and nothing of its own limits', async () => {
    const { openai, anthropic } = await running.access();
    for (const shouldRetry of ['true', 'false']) {
      running.upstream.respond(
        status(
          429,
          { type: 'error', error: { type: 'rate_limit_error', message: 'Slow down.' } },
          {
            'x-should-retry': shouldRetry,
            'x-ratelimit-limit-requests': '5',
            'x-ratelimit-remaining-tokens': '0',
            'anthropic-ratelimit-requests-reset': '2030-01-01T00:00:00Z',
          },
        ),
      );
      for (const raised of [
        await errorOf(openai.chat.completions.create(HELLO)),
        await errorOf(anthropic.messages.create(HELLO_ANTHROPIC)),
      ]) {
        expect(raised.headers?.get('x-should-retry')).toBe(shouldRetry);
        expect([...(raised.headers?.keys() ?? [])].join()).not.toContain('ratelimit');
      }
    }
    running.upstream.respond(status(500, { error: {} }, { 'x-should-retry': 'of course' }));
    const odd = await errorOf(openai.chat.completions.create(HELLO));
    expect(odd.headers?.get('x-should-retry')).toBeNull();
  });
});

describe('errors of any form', () => {
  it('Anthropic says that it is overloaded with a status of its own', async () => {
    const { anthropic, grant } = await running.access();
    const error = { type: 'overloaded_error', message: 'Overloaded' };
    running.upstream.respond(status(529, { type: 'error', error }));
    for (const stream of [false, true]) {
      const raised = await errorOf(anthropic.messages.create({ ...HELLO_ANTHROPIC, stream }));
      expect([raised.status, raised.error]).toEqual([529, { type: 'error', error }]);
      expect(raised.headers?.get('x-sallyport-source')).toBe('upstream');
    }
    expect(running.sums(grant)).toMatchObject({ tokensSettled: 0, requestsReserved: 0 });
  });

  it.each([
    ['larger than the broker holds', { error: { message: 'x'.repeat(MAX_RESPONSE_BYTES) } }],
    ['without an error in it', { detail: 'Not Found' }],
    ['empty', ''],
  ])('%s: the status comes through, in the shape that SDKs read', async (_, body) => {
    const { openai, grant } = await running.access();
    running.upstream.respond(status(503, body));
    for (const stream of [false, true]) {
      const raised = await errorOf(openai.chat.completions.create({ ...HELLO, stream }));
      expect([raised.status, codeOf(raised)]).toEqual([503, 'upstream_error']);
    }
    expect(running.sums(grant)).toMatchObject({
      requestsSettled: 2,
      requestsReserved: 0,
      tokensSettled: 0,
      tokensReserved: 0,
    });
  });
});

describe('answers that cannot be used', () => {
  it('known failure 11: a redirect is not followed', async () => {
    const visited: string[] = [];
    const elsewhere = createServer((req, res) => {
      visited.push(req.url ?? '');
      res.end('{}');
    });
    await new Promise<void>((resolve) => {
      elsewhere.listen(0, '127.0.0.1', resolve);
    });
    const { port } = elsewhere.address() as AddressInfo;
    const { openai, grant } = await running.access();
    for (const code of [301, 302, 307, 308]) {
      running.upstream.respond(
        status(
          code,
          { model: 'model-a-1' },
          { location: `http://127.0.0.1:${port}/v1/chat/completions` },
        ),
      );
      const error = await errorOf(openai.chat.completions.create(HELLO));
      expect([error.status, codeOf(error)]).toEqual([502, 'upstream_invalid']);
      expect(error.headers?.get('location')).toBeNull();
    }
    expect(visited).toEqual([]);
    expect(running.sums(grant)).toMatchObject({ requestsSettled: 4, requestsReserved: 0 });
    elsewhere.close();
  });

  it.each([
    ['no JSON', 'Hello.'],
    ['half a document', '{"choices":[{"message":{"role":"assi'],
    ['no object', '[]'],
    ['nothing at all', ''],
  ])('%s', async (_, text) => {
    const { openai, grant } = await running.access();
    running.upstream.respond(status(200, text, { 'content-type': 'application/json' }));
    const error = await errorOf(openai.chat.completions.create(HELLO));
    expect([error.status, codeOf(error)]).toEqual([502, 'upstream_invalid']);
    expect((await running.outcomeOf(grant)).data).toMatchObject({
      end: 'upstream_error',
      usage: { source: 'estimated' },
      charged: { requests: 1 },
    });
  });

  it('more than the broker holds', async () => {
    const { openai, grant } = await running.access();
    running.upstream.respond(openaiJson({ content: 'x'.repeat(MAX_RESPONSE_BYTES) }));
    const error = await errorOf(openai.chat.completions.create(HELLO));
    expect([error.status, codeOf(error)]).toEqual([502, 'upstream_invalid']);
    // It was produced, so it is paid for.
    const { data } = await running.outcomeOf(grant);
    expect(data?.charged?.tokens).toBeGreaterThan(MAX_RESPONSE_BYTES / 10);
  });

  it('a connection that breaks before the answer, or in its middle', async () => {
    const { openai, grant } = await running.access();
    running.upstream.respond((_req, res) => void res.destroy());
    const before = await errorOf(openai.chat.completions.create(HELLO));
    expect([before.status, codeOf(before)]).toEqual([502, 'upstream_incomplete']);
    running.upstream.respond((_req, res) => {
      res.writeHead(200, { 'content-type': 'application/json', 'content-length': 1_000 });
      res.write('{"model":', () => res.destroy());
    });
    const middle = await errorOf(openai.chat.completions.create(HELLO));
    expect([middle.status, codeOf(middle)]).toEqual([502, 'upstream_incomplete']);
    // The broker never sends a request twice, and says that nobody should.
    expect(before.headers?.get('x-should-retry')).toBe('false');
    expect(running.entries({ kind: 'request.outcome', grant: grant.id })).toHaveLength(2);
  });
});

describe('an upstream that is not there', () => {
  it('costs nothing: the request is given back', async () => {
    const nowhere = await startRunningBroker({ upstreamUrl: 'http://127.0.0.1:9/v1' });
    try {
      const { openai, anthropic, grant } = await nowhere.access({ budgets: { requests: 1 } });
      for (const call of [
        () => openai.chat.completions.create(HELLO),
        () => openai.chat.completions.create({ ...HELLO, stream: true }),
        () => anthropic.messages.create(HELLO_ANTHROPIC),
      ]) {
        const error = await errorOf(call());
        expect([error.status, codeOf(error)]).toEqual([502, 'upstream_unreachable']);
        expect(error.headers?.get('x-should-retry')).toBe('true');
      }
      expect(nowhere.sums(grant)).toEqual({
        requestsSettled: 0,
        requestsReserved: 0,
        tokensSettled: 0,
        tokensReserved: 0,
      });
      const outcomes = nowhere.entries({ kind: 'request.outcome', grant: grant.id });
      expect(outcomes.map(({ data }) => data?.end)).toEqual(
        Array.from({ length: 3 }, () => 'not_forwarded'),
      );
    } finally {
      await nowhere.close();
    }
  });
});

describe('what the upstream adds around its answer', () => {
  it('stays here: headers of its own reach no client', async () => {
    const { token } = await running.access();
    running.upstream.respond((req, res) => {
      res.setHeader('set-cookie', 'session=1');
      res.setHeader('openai-organization', 'org-of-the-host');
      res.setHeader('x-request-id', 'of-the-upstream');
      return openaiJson()(req, res);
    });
    const answer = await post(`${running.url}/v1/chat/completions`, token, HELLO);
    expect([...answer.headers.keys()].sort()).toEqual([
      'cache-control',
      'connection',
      'content-length',
      'content-type',
      'date',
      'keep-alive',
      'request-id',
      'server-timing',
      'x-request-id',
    ]);
    expect(answer.headers.get('x-request-id')).toMatch(/^req_/);
  });
});
