/** Tokens that gave up a part of their grant: the gateway holds them to what is left, and says that it is the token. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { endRun } from '../../src/broker/end-access.ts';
import type { Grant } from '../../src/core/grants.ts';
import type { Narrowing } from '../../src/core/narrowing.ts';
import { decodeJwt } from 'jose';
import { getToken } from '../support/people.ts';
import {
  HELLO,
  HELLO_ANTHROPIC,
  MODEL,
  OTHER_ENDPOINT_MODEL,
  SECOND_MODEL,
  post,
  say,
  startRunningBroker,
  type RunningBroker,
} from '../support/running-broker.ts';

let running: RunningBroker;
let grant: Grant;

beforeAll(async () => {
  running = await startRunningBroker();
  grant = await running.grant({ features: { ...BASE, betaHeaders: ['context-1m'] } });
});
afterEach(() => running.checkUpstream());
afterAll(() => running.close());

const BASE = { streaming: true, systemPrompt: true, tools: true, n: 4, maxOutputTokens: 1000 };

const narrowed = (narrowing: Narrowing, of = grant): Promise<string> =>
  getToken(running.test, running.people.researcher, {
    grant: of.id,
    purpose: 'hallucination',
    run: 'narrow',
    ...narrowing,
  });

const CHAT = '/v1/chat/completions';
const MESSAGES = '/v1/messages';
const TOOL = { type: 'function', function: { name: 'f', parameters: { type: 'object' } } };

interface Refused {
  status: number;
  code: string;
  message: string;
}

async function ask(token: string, path: string, body: object, headers = {}): Promise<Refused> {
  const answer = await post(`${running.url}${path}`, token, body, headers);
  const { error } = (await answer.json()) as { error?: { code: string; message: string } };
  return { status: answer.status, code: error?.code ?? '', message: error?.message ?? '' };
}

const CASES: [string, Narrowing, string, object, Record<string, string>, string][] = [
  [
    'a model',
    { models: [MODEL] },
    CHAT,
    { ...HELLO, model: SECOND_MODEL },
    {},
    'model_not_granted',
  ],
  [
    'all models of an endpoint',
    { models: [MODEL, SECOND_MODEL] },
    CHAT,
    { ...HELLO, model: OTHER_ENDPOINT_MODEL },
    {},
    'model_not_granted',
  ],
  [
    'an operation',
    { operations: ['chat.completions'] },
    MESSAGES,
    HELLO_ANTHROPIC,
    {},
    'operation_not_granted',
  ],
  [
    'streams',
    { features: { streaming: false } },
    CHAT,
    { ...HELLO, stream: true },
    {},
    'feature_not_granted',
  ],
  [
    'tools',
    { features: { tools: false } },
    CHAT,
    { ...HELLO, tools: [TOOL] },
    {},
    'feature_not_granted',
  ],
  [
    'the system prompt',
    { features: { systemPrompt: false } },
    MESSAGES,
    { ...HELLO_ANTHROPIC, system: 'Be brief.' },
    {},
    'feature_not_granted',
  ],
  ['answers', { features: { n: 2 } }, CHAT, { ...HELLO, n: 3 }, {}, 'feature_not_granted'],
  [
    'output',
    { features: { maxOutputTokens: 50 } },
    CHAT,
    { ...HELLO, max_tokens: 51 },
    {},
    'feature_not_granted',
  ],
  [
    'a beta header',
    { features: { betaHeaders: [] } },
    MESSAGES,
    HELLO_ANTHROPIC,
    { 'anthropic-beta': 'context-1m' },
    'feature_not_granted',
  ],
];

describe('a token that gave up', () => {
  it.each(CASES)('%s', async (_name, narrowing, path, body, headers, code) => {
    const token = await narrowed(narrowing);
    const asked = running.upstream.requests.length;
    const answer = await ask(token, path, body, headers);
    expect([answer.status, answer.code]).toEqual([403, code]);
    expect(answer.message).toMatch(/^The token (does not (allow|cover)|allows at most) /);
    expect(running.upstream.requests).toHaveLength(asked);
    const { jti } = decodeJwt(token);
    const denied = running.entries({ kind: 'request.denied' }).filter((one) => one.token === jti);
    expect(denied).toMatchObject([{ reason: code, decision: 'denied' }]);
  });

  it('something does what it kept, and what it says nothing of', async () => {
    const token = await narrowed({
      models: [MODEL],
      operations: ['chat.completions'],
      features: { tools: false, maxOutputTokens: 50 },
    });
    const messages = [{ role: 'system', content: 'Be brief.' }, say('Hello!')];
    const body = { model: MODEL, messages, n: 2, max_tokens: 50 };
    expect((await ask(token, CHAT, body)).status).toBe(200);
    // What the request leaves open is bounded by what is left.
    expect((await ask(token, CHAT, HELLO)).status).toBe(200);
    expect(running.upstream.requests.at(-1)?.body).toMatchObject({ max_tokens: 50 });
  });

  it('models is shown only those that it kept', async () => {
    const token = await narrowed({ models: [MODEL], operations: ['models'] });
    const headers = { authorization: `Bearer ${token}` };
    const list = await fetch(`${running.url}/v1/models`, { headers });
    expect(await list.json()).toMatchObject({ data: [{ id: MODEL }] });
    const one = await fetch(`${running.url}/v1/models/${SECOND_MODEL}`, { headers });
    expect(one.status).toBe(403);
    expect(await one.json()).toMatchObject({
      error: { code: 'model_not_granted', message: 'The token does not cover this model.' },
    });
    const none = await fetch(`${running.url}/v1/models/model-z`, { headers });
    expect(await none.json()).toMatchObject({
      error: { message: expect.stringContaining('The grant does not cover') as string },
    });
  });

  it('the models may not ask for them', async () => {
    const token = await narrowed({ operations: ['chat.completions'] });
    const headers = { authorization: `Bearer ${token}` };
    const list = await fetch(`${running.url}/v1/models`, { headers });
    const { error } = (await list.json()) as { error: Refused };
    expect([list.status, error.code]).toEqual([403, 'operation_not_granted']);
    expect(error.message).toMatch(/^The token does not allow "models"/);
  });
});

describe('what the grant itself does not give', () => {
  it('is not laid at the door of the token', async () => {
    const narrow = await running.grant({
      endpoints: [{ endpoint: 'demo', models: [MODEL, SECOND_MODEL] }],
      features: { streaming: true, maxOutputTokens: 100 },
      operations: ['chat.completions'],
    });
    const token = await narrowed({ models: [MODEL], features: { streaming: false } }, narrow);
    for (const [path, body] of [
      [CHAT, { ...HELLO, model: OTHER_ENDPOINT_MODEL }],
      [CHAT, { ...HELLO, tools: [TOOL] }],
      [CHAT, { ...HELLO, n: 2 }],
      [CHAT, { ...HELLO, max_tokens: 101 }],
      [MESSAGES, HELLO_ANTHROPIC],
    ] as const) {
      const { status, message } = await ask(token, path, body);
      expect([status, message]).toEqual([403, expect.stringMatching(/^The grant /)]);
    }
  });
});

describe('a run that was handed back', () => {
  it('passes nothing more, and takes no new token', async () => {
    const { researcher } = running.people;
    const token = await narrowed({});
    expect((await ask(token, CHAT, HELLO)).status).toBe(200);
    await endRun(running.test.broker, researcher.id, String(decodeJwt(token)['run']));
    const refused = await ask(token, CHAT, HELLO);
    expect([refused.status, refused.code]).toEqual([401, 'token_revoked']);
    await expect(narrowed({})).rejects.toThrow('run_ended');
    // Another of the same grant goes on.
    const other = await running.tokenFor(researcher, grant);
    expect((await ask(other.token, CHAT, HELLO)).status).toBe(200);
  });
});

describe('a grant that binds', () => {
  it('passes no token that is not bound, wherever it comes from', async () => {
    const free = await running.grant();
    const { token } = await running.tokenFor(running.people.researcher, free);
    const { policy } = running.test.broker;
    const bound = { ...free, spec: { ...free.spec, binding: 'dpop' as const } };
    policy.apply([{ kind: 'grant', value: bound }], policy.epoch);
    const asked = running.upstream.requests.length;
    const answer = await post(`${running.url}${CHAT}`, token, HELLO);
    expect(answer.status).toBe(401);
    expect(answer.headers.get('www-authenticate')).toMatch(/^DPoP error="invalid_token"/);
    expect(await answer.json()).toMatchObject({ error: { code: 'dpop_required' } });
    expect(running.upstream.requests).toHaveLength(asked);
  });
});
