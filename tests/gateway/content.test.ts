/** Aliases, beta headers, numbers and headers: what is named is checked, and nothing else reaches the upstream. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { exchangeBytes } from '../support/raw-client.ts';
import {
  HELLO,
  HELLO_ANTHROPIC,
  HOST_CREDENTIAL,
  post,
  startRunningBroker,
  type Access,
  type RunningBroker,
} from '../support/running-broker.ts';
import { anthropicJson, openaiJson } from '../support/scripted-upstream.ts';

const PINNED = 'frontier-2026-06-01';
const BETA = 'files-api-2025-04-14';

let running: RunningBroker;
let access: Access;
let before: number;

beforeAll(async () => {
  const features = { maxOutputTokens: 1000, betaHeaders: [BETA] };
  running = await startRunningBroker({
    endpoint: { models: [PINNED, 'frontier-mini-v2', 'plain'], features },
  });
  access = await running.access({
    endpoints: [{ endpoint: 'demo', models: [PINNED, 'frontier-mini-v2', 'plain'] }],
    operations: ['chat.completions', 'messages'],
    features,
  });
});
beforeEach(() => {
  before = running.upstream.requests.length;
});
afterEach(() => running.checkUpstream());
afterAll(() => running.close());

const chat = (body: unknown, headers?: Record<string, string>): Promise<Response> =>
  post(`${running.url}/v1/chat/completions`, access.token, body, headers);
const messages = (body: unknown, headers?: Record<string, string>): Promise<Response> =>
  post(`${running.url}/v1/messages`, access.token, body, headers);

const forwarded = () => running.upstream.requests.slice(before);

async function refusalOf(
  answer: Response,
): Promise<{ code: string; message: string; param: string }> {
  expect(forwarded()).toEqual([]);
  return ((await answer.json()) as { error: { code: string; message: string; param: string } })
    .error;
}

describe('a model', () => {
  it.each([
    ['frontier', PINNED],
    ['frontier-latest', PINNED],
    ['frontier-2026', PINNED],
    ['frontier-mini', 'frontier-mini-v2'],
  ])('by the alias %s is refused, and the pinned version is named', async (model, pinned) => {
    const error = await refusalOf(await chat({ ...HELLO, model }));
    expect([error.code, error.param]).toEqual(['model_not_granted', 'model']);
    expect(error.message).toMatch(
      new RegExp(`"${model}".* Name the pinned version: ${pinned}\\.$`),
    );
  });

  it.each([
    'frontie',
    'Frontier',
    'frontier-',
    'frontier-2026-06-01-x',
    'latest',
    '-latest',
    'gpt',
  ])('that is no alias, %s, is told what there is', async (model) => {
    const error = await refusalOf(await chat({ ...HELLO, model }));
    expect(error.message).toContain(`It covers: ${PINNED}, frontier-mini-v2, plain.`);
  });
});

describe('beta headers', () => {
  const ask = { ...HELLO_ANTHROPIC, model: PINNED };

  it.each([
    [BETA, BETA],
    [` ${BETA} ,, `, BETA],
    [`${BETA},${BETA}`, `${BETA},${BETA}`],
    ['', undefined],
    [' , ', undefined],
  ])('of "%s" become %s', async (sent, passed) => {
    running.upstream.respond(anthropicJson());
    expect((await messages(ask, { 'anthropic-beta': sent })).status).toBe(200);
    expect(forwarded()[0]?.headers['anthropic-beta']).toBe(passed);
  });

  it.each([
    'computer-use-2025-01-24',
    `${BETA},computer-use-2025-01-24`,
    BETA.toUpperCase(),
    `${BETA};q=1`,
    `"${BETA}"`,
    // Means no more than the operation, but of another one.
    'token-counting-2024-11-01',
  ])('of %s are refused', async (sent) => {
    const error = await refusalOf(await messages(ask, { 'anthropic-beta': sent }));
    expect([error.code, error.param]).toEqual(['feature_not_granted', 'anthropic-beta']);
    expect(error.message).not.toContain(sent);
  });

  it('are refused where one of several headers has what is not granted', async () => {
    const body = JSON.stringify(ask);
    const lines = (second: string): string =>
      [
        'POST /v1/messages HTTP/1.1',
        'host: x',
        'connection: close',
        'content-type: application/json',
        `authorization: Bearer ${access.token}`,
        `anthropic-beta: ${BETA}`,
        `Anthropic-Beta: ${second}`,
        `content-length: ${body.length}`,
      ].join('\r\n');
    const answer = await exchangeBytes(running.url, `${lines('other-1')}\r\n\r\n${body}`);
    expect(answer).toMatch(/^HTTP\/1\.1 403 /);
    expect(forwarded()).toEqual([]);
    running.upstream.respond(anthropicJson());
    expect(await exchangeBytes(running.url, `${lines(BETA)}\r\n\r\n${body}`)).toMatch(
      /^HTTP\/1\.1 200 /,
    );
  });

  it("of the other vendor's go no further", async () => {
    running.upstream.respond(anthropicJson());
    expect((await messages(ask, { 'openai-beta': 'assistants=v2' })).status).toBe(200);
    running.upstream.respond(openaiJson());
    const asked = { ...HELLO, model: PINNED };
    expect((await chat(asked, { 'anthropic-beta': 'anything' })).status).toBe(200);
    for (const { headers } of forwarded())
      expect(Object.keys(headers).filter((name) => name.endsWith('-beta'))).toEqual([]);
  });

  it.each(['betas', 'anthropic_beta'])(
    'as the field %s are refused whatever is passed',
    async (field) => {
      const loose = await running.access({
        endpoints: [{ endpoint: 'demo', models: [PINNED] }],
        unknownFields: 'pass',
        features: { maxOutputTokens: 1000, betaHeaders: [BETA] },
      });
      const answer = await post(`${running.url}/v1/messages`, loose.token, {
        ...ask,
        [field]: [BETA],
      });
      expect(await refusalOf(answer)).toMatchObject({ code: 'invalid_request', param: field });
    },
  );
});

describe('what would not be the same once it is written again', () => {
  const withSeed = (seed: string): string =>
    `{"model":"${PINNED}","messages":[{"role":"user","content":"x"}],"max_tokens":1,"seed":${seed}}`;

  it.each(['9007199254740993', '1e400'])('is refused by name: a seed of %s', async (seed) => {
    const error = await refusalOf(await chat(withSeed(seed)));
    expect(error).toMatchObject({ code: 'invalid_request', param: 'seed' });
  });

  it('is not the largest number that there is exactly', async () => {
    const body = withSeed('9007199254740991');
    expect((await chat(body)).status).toBe(200);
    expect(forwarded()[0]?.raw.toString()).toBe(body);
  });

  it('is not: keys twice, keys in escapes, keys that every object has, halves of characters', async () => {
    const text = (model: string, content: string): string =>
      `{"max_tokens":1,"model":"${model}","messages":[{"role":"user","content":${content}}]}`;
    // Read by us and written by us: each key is there once, with the value that was checked.
    const twice = text('other', '"x"').replace(
      '}]}',
      `,"content":"y"}],"\\u006dodel":"${PINNED}"}`,
    );
    expect((await chat(twice)).status).toBe(200);
    const halves = text(PINNED, '"\\ud83e \\udd80 \\u0000"');
    expect((await chat(halves)).status).toBe(200);
    expect(forwarded().map(({ raw }) => raw.toString())).toEqual([text(PINNED, '"y"'), halves]);
    before = running.upstream.requests.length;
    const hidden = text(PINNED, '"x"').replace('"max_tokens"', '"__proto__":{"n":4},"max_tokens"');
    expect(await refusalOf(await chat(hidden))).toMatchObject({ param: '__proto__' });
    const nested = text(PINNED, '[{"type":"text","type":"image_url","image_url":"u"}]');
    expect(await refusalOf(await chat(nested))).toMatchObject({ code: 'feature_not_granted' });
  });
});

it('headers that are not on the list stay here, on the way to either vendor', async () => {
  const smuggled = {
    'accept-language': 'xx',
    'anthropic-dangerous-direct-browser-access': 'true',
    'anthropic-user-profile-id': 'profile',
    'anthropic-workspace-id': 'workspace',
    'cf-connecting-ip': '10.0.0.1',
    cookie: 'session=1',
    'openai-organization': 'org',
    'openai-project': 'proj',
    origin: 'https://elsewhere.example',
    referer: 'https://elsewhere.example',
    traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    'x-forwarded-for': '10.0.0.1',
    'x-forwarded-host': 'elsewhere.example',
    'x-http-method-override': 'DELETE',
    'x-stainless-lang': 'js',
  };
  const always = ['accept', 'accept-encoding', 'connection', 'content-length', 'content-type'];
  running.upstream.respond(openaiJson());
  expect((await chat({ ...HELLO, model: PINNED }, smuggled)).status).toBe(200);
  running.upstream.respond(anthropicJson());
  expect((await messages({ ...HELLO_ANTHROPIC, model: PINNED }, smuggled)).status).toBe(200);
  const [toOpenai, toAnthropic] = forwarded().map(({ headers }) => headers);
  expect(Object.keys(toOpenai ?? {}).sort()).toEqual(
    [...always, 'authorization', 'host', 'user-agent'].sort(),
  );
  expect(Object.keys(toAnthropic ?? {}).sort()).toEqual(
    [...always, 'anthropic-version', 'host', 'user-agent', 'x-api-key'].sort(),
  );
  expect([toOpenai?.authorization, toAnthropic?.['x-api-key']]).toEqual([
    `Bearer ${HOST_CREDENTIAL}`,
    HOST_CREDENTIAL,
  ]);
});
