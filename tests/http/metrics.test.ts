/** What operators see: the numbers are those of what was done, and the address gives nothing else away. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseConfig } from '../../src/config/load.ts';
import { scrape } from '../support/prometheus.ts';
import {
  HELLO,
  HELLO_ANTHROPIC,
  HOST_CREDENTIAL,
  MODEL,
  drain,
  errorOf,
  eventually,
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
} from '../support/scripted-upstream.ts';
import { startTestBroker } from '../support/test-broker.ts';

let running: RunningBroker;
const metrics = (): ReturnType<typeof scrape> => scrape(running.test.metricsUrl);

beforeAll(async () => {
  running = await startRunningBroker({ metrics: { port: 0 } });
});
afterAll(() => running.close());

describe('the numbers', () => {
  it('count requests as they ended, their tokens, and where their time went', async () => {
    const before = await metrics();
    const { openai, anthropic } = await running.access();
    running.upstream.respond(
      openaiJson({ usage: { inputTokens: 11, outputTokens: 7 }, model: MODEL }),
    );
    await openai.chat.completions.create(HELLO);
    await openai.chat.completions.create(HELLO);
    running.upstream.respond(
      openaiStream({ usage: { inputTokens: 5, outputTokens: 3 }, model: MODEL }),
    );
    await drain(await openai.chat.completions.create({ ...HELLO, stream: true }));
    running.upstream.respond(
      anthropicJson({ usage: { inputTokens: 100, outputTokens: 50 }, model: MODEL }),
    );
    await anthropic.messages.create(HELLO_ANTHROPIC);
    const after = await metrics();
    const grew = (name: string, labels: Record<string, string>): number =>
      after.sum(name, labels) - before.sum(name, labels);
    const chat = { operation: 'chat.completions', endpoint: 'demo', end: 'completed' };
    expect(grew('sallyport_requests_total', chat)).toBe(3);
    expect(grew('sallyport_requests_total', { ...chat, operation: 'messages' })).toBe(1);
    expect(grew('sallyport_requests_total', {})).toBe(4);
    const reported = { endpoint: 'demo', source: 'reported' };
    expect(grew('sallyport_tokens_total', { ...reported, direction: 'input' })).toBe(127);
    expect(grew('sallyport_tokens_total', { ...reported, direction: 'output' })).toBe(67);
    expect(grew('sallyport_tokens_total', { source: 'estimated' })).toBe(0);
    for (const name of ['upstream_seconds', 'upstream_first_byte_seconds'])
      expect(grew(`sallyport_${name}_count`, { endpoint: 'demo' })).toBe(4);
    expect(grew('sallyport_gateway_seconds_count', { operation: 'chat.completions' })).toBe(3);
    expect(grew('sallyport_gateway_seconds_sum', {})).toBeGreaterThan(0);
    expect(grew('sallyport_model_mismatches_total', {})).toBe(0);
  });

  it('count refusals by code, and apart those of whoever did not show who they are', async () => {
    const { token, grant } = await running.access();
    const url = `${running.url}/v1/chat/completions`;
    const before = await metrics();
    expect((await post(url, token, { ...HELLO, model: 'model-z' })).status).toBe(403);
    expect((await post(url, token, { ...HELLO, model: 'model-z' })).status).toBe(403);
    expect((await post(url, token, '{')).status).toBe(400);
    expect((await post(url, 'nobody', HELLO)).status).toBe(401);
    expect((await post(url, undefined, HELLO)).status).toBe(401);
    const after = await metrics();
    const refusals = after.samples('sallyport_refusals_total').map(({ labels, value }) => ({
      ...labels,
      by: value - before.sum('sallyport_refusals_total', labels),
    }));
    const door = 'gateway';
    expect(refusals.filter(({ by }) => by > 0)).toEqual(
      expect.arrayContaining([
        { door, caller: 'known', code: 'model_not_granted', by: 2 },
        { door, caller: 'known', code: 'invalid_json', by: 1 },
        { door, caller: 'unknown', code: 'invalid_token', by: 1 },
        { door, caller: 'unknown', code: 'missing_credential', by: 1 },
      ]),
    );
    expect(refusals.filter(({ by }) => by > 0)).toHaveLength(4);
    expect(running.sums(grant)).toBeUndefined();
    expect(after.sum('sallyport_requests_total')).toBe(before.sum('sallyport_requests_total'));
  });

  it('tell a failing upstream by endpoint and kind, and a model that is not the pinned one', async () => {
    const { openai } = await running.access();
    const before = await metrics();
    for (const handler of [
      status(429, { error: { message: 'slow' } }),
      status(404, { error: { message: 'gone' } }),
      status(503, { error: { message: 'down' } }),
      status(401, { error: { message: 'key' } }),
      status(200, 'not JSON'),
    ]) {
      running.upstream.respond(handler);
      await errorOf(openai.chat.completions.create(HELLO));
    }
    running.upstream.respond(openaiStream({ chunks: ['a'], endWith: 'destroy', model: MODEL }));
    await errorOf(drain(await openai.chat.completions.create({ ...HELLO, stream: true })));
    running.upstream.respond(openaiStream({ chunks: ['a'], endWith: 'error-event', model: MODEL }));
    await errorOf(drain(await openai.chat.completions.create({ ...HELLO, stream: true })));
    running.upstream.respond(openaiJson({ model: 'model-other' }));
    await openai.chat.completions.create(HELLO);
    const after = await metrics();
    const kinds = after
      .samples('sallyport_upstream_errors_total')
      .filter((one) => one.value > before.sum(one.name, one.labels))
      .map(({ labels }) => `${labels['endpoint']} ${labels['kind']}`);
    expect(kinds.sort()).toEqual([
      'demo error_event',
      'demo status_429',
      'demo status_4xx',
      'demo status_5xx',
      'demo upstream_credential_refused',
      'demo upstream_incomplete',
      'demo upstream_invalid',
    ]);
    expect(after.sum('sallyport_model_mismatches_total', { endpoint: 'demo' })).toBe(
      before.sum('sallyport_model_mismatches_total') + 1,
    );
  });

  it('show what is live, and how limits and budgets stand, until the grant ends', async () => {
    const { openai, grant } = await running.access({
      limits: { requestsPerMinute: 60, tokensPerMinute: 50_000, concurrent: 3 },
      budgets: { requests: 100, tokensPerDay: 80_000, spendUsd: 2 },
    });
    const of = { grant: grant.id };
    running.upstream.respond(openaiJson({ usage: { inputTokens: 11, outputTokens: 7 } }));
    await openai.chat.completions.create(HELLO);
    const asked = running.onceAsked(hold({ chunks: ['a'] }));
    const leaving = new AbortController();
    const stream = openai.chat.completions.create(
      { ...HELLO, stream: true },
      { signal: leaving.signal },
    );
    await asked;
    const during = await metrics();
    expect(during.value('sallyport_live_requests')).toBe(1);
    expect(during.value('sallyport_live_streams')).toBe(1);
    expect(during.value('sallyport_grant_requests_in_flight', of)).toBe(1);
    const reserved = during.value('sallyport_grant_tokens_reserved', of);
    expect(reserved).toBe(running.sums(grant)?.tokensReserved);
    const limit = (name: string): number =>
      during.value('sallyport_grant_limit_remaining', { ...of, limit: name });
    expect([limit('requests_per_minute'), limit('concurrent')]).toEqual([58, 2]);
    expect(limit('tokens_per_minute')).toBe(50_000 - 18 - reserved);
    expect(during.value('sallyport_grant_limit', { ...of, limit: 'concurrent' })).toBe(3);
    const budget = (name: string): number =>
      during.value('sallyport_grant_budget_remaining', { ...of, budget: name });
    expect([budget('requests'), budget('tokens_per_day')]).toEqual([98, 80_000 - 18 - reserved]);
    expect(budget('spend_usd')).toBeLessThan(2);
    expect(during.samples('sallyport_grant_budget', of)).toHaveLength(3);

    for await (const _ of await stream) leaving.abort();
    await eventually(() => expect(running.sums(grant)?.requestsReserved).toBe(0));
    const after = await metrics();
    expect(after.value('sallyport_grant_requests_in_flight', of)).toBe(0);
    expect(after.sum('sallyport_requests_total', { end: 'client_gone' })).toBe(1);
    const revoked = `/grants/${grant.id}/revoke`;
    expect(
      (await running.api.post(running.people.admin, revoked, { grounds: 'Over' })).status,
    ).toBe(200);
    const gone = await metrics();
    const grants = [...gone.families.values()].flatMap(({ samples }) =>
      samples.map(({ labels }) => labels['grant']),
    );
    expect(grants).not.toContain(grant.id);
  });

  it('show the log and its commits, and the process', async () => {
    const before = await metrics();
    const { openai } = await running.access();
    running.upstream.respond(openaiJson());
    await openai.chat.completions.create(HELLO);
    const after = await metrics();
    expect(after.value('sallyport_log_writable')).toBe(1);
    expect(after.value('sallyport_ready')).toBe(1);
    expect(after.value('sallyport_log_waiting_outcomes')).toBe(0);
    expect(after.value('sallyport_log_entries')).toBe(running.entries().length);
    const checkpoint = after.value('sallyport_log_checkpoint_entries');
    expect(checkpoint).toBeGreaterThan(0);
    expect(checkpoint).toBeLessThanOrEqual(running.entries().length);
    const age = Date.now() / 1000 - after.value('sallyport_log_checkpoint_timestamp_seconds');
    expect(age).toBeGreaterThanOrEqual(0);
    expect(age).toBeLessThan(60);
    const commits = after.value('sallyport_log_commit_seconds_count');
    expect(commits).toBeGreaterThan(before.value('sallyport_log_commit_seconds_count') + 1);
    expect(after.value('sallyport_log_commit_operations_sum')).toBeGreaterThanOrEqual(commits);
    for (const name of ['process_cpu_seconds_total', 'process_resident_memory_bytes'])
      expect(after.value(name)).toBeGreaterThan(0);
  });

  it('name no person, token, run or text', async () => {
    const { openai, token, person } = await running.access();
    running.upstream.respond(openaiJson());
    await openai.chat.completions.create(HELLO);
    const text = await (await fetch(`${running.test.metricsUrl}/metrics`)).text();
    for (const secret of [token, person.id, HOST_CREDENTIAL, HELLO.messages[0]?.content ?? ''])
      expect(text).not.toContain(secret);
    expect(text).not.toMatch(/(per|tok|run|req|ent|lab)_[0-9a-z]{26}/);
  });
});

describe('the address', () => {
  it('answers GET of three paths, and takes nothing', async () => {
    const ask = (path: string, init?: RequestInit): Promise<Response> =>
      fetch(`${running.test.metricsUrl}${path}`, init);
    const answer = await ask('/metrics');
    expect(answer.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
    expect(answer.headers.get('x-content-type-options')).toBe('nosniff');
    expect(answer.headers.get('cache-control')).toBe('no-store');
    expect((await ask('/metrics', { method: 'POST', body: 'x' })).status).toBe(405);
    expect((await ask('/metrics', { method: 'HEAD' })).status).toBe(405);
    for (const path of ['/', '/metrics/', '/metrics?a=b', '/v1/models', '/api/v1/labs'])
      expect((await ask(path)).status).toBe(404);
    expect(await (await ask('/healthz')).json()).toEqual({ status: 'ok' });
    expect(await (await ask('/readyz')).json()).toEqual({ status: 'ready' });
    // And the address of the API gives none away.
    expect((await fetch(`${running.url}/metrics`)).status).toBe(404);
  });

  it('is closed with the broker', async () => {
    const test = await startTestBroker({ metrics: { port: 0 } });
    await scrape(test.metricsUrl);
    await test.close();
    await expect(scrape(test.metricsUrl)).rejects.toThrow(/fetch failed/);
  });

  it('that is in use is an error that says what to do, and nothing is left running', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address() as AddressInfo;
    await expect(startTestBroker({ metrics: { port } })).rejects.toThrow(
      `Port ${port} of 127.0.0.1 is in use. Stop what runs there, or choose another (metrics.port).`,
    );
    other.close();
  });

  it('is not reachable from outside unless that is said', () => {
    const parse = (address: object): unknown => parseConfig({ metrics: address }, 'a file');
    expect(() => parse({ host: '0.0.0.0', port: 9464 })).toThrow(/"metrics\.host".*allowRemote/);
    expect(parse({ host: '0.0.0.0', port: 9464, allowRemote: true })).toBeDefined();
    expect(parse({ host: '::1', port: 9464 })).toBeDefined();
    expect(() => parse({})).toThrow(/"metrics\.port": is missing/);
  });
});
