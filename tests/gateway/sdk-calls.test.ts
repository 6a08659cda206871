/** What a researcher does first: an unmodified SDK with another base URL and key. */
import { connect } from 'node:net';
import Anthropic, * as anthropicSdk from '@anthropic-ai/sdk';
import OpenAI, * as openaiSdk from 'openai';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  HELLO,
  HELLO_ANTHROPIC,
  HOST_CREDENTIAL,
  MODEL,
  codeOf,
  drain,
  errorOf,
  post,
  say,
  startRunningBroker,
  type Access,
  type RunningBroker,
} from '../support/running-broker.ts';
import {
  anthropicJson,
  anthropicStream,
  openaiJson,
  openaiStream,
  status,
} from '../support/scripted-upstream.ts';

let running: RunningBroker;
let access: Access;

beforeAll(async () => {
  running = await startRunningBroker();
  access = await running.access();
});
afterEach(() => running.checkUpstream());
afterAll(() => running.close());

const lastUpstreamHeaders = (): Record<string, unknown> =>
  running.upstream.requests.at(-1)?.headers ?? {};

describe('openai', () => {
  it('completes a chat', async () => {
    running.upstream.respond(openaiJson({ content: 'Hi there.', model: MODEL }));
    const answer = await access.openai.chat.completions.create(HELLO);
    expect(answer.choices[0]?.message.content).toBe('Hi there.');
    expect(answer.usage?.total_tokens).toBe(18);
  });

  it('streams a chat, without a chunk of usage that it did not ask for', async () => {
    running.upstream.respond(openaiStream({ chunks: ['Hi ', 'there.'], model: MODEL }));
    const chunks = await drain(
      await access.openai.chat.completions.create({ ...HELLO, stream: true }),
    );
    expect(chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join('')).toBe('Hi there.');
    expect(chunks.filter((chunk) => chunk.choices.length === 0)).toEqual([]);
  });

  it('streams with the usage that it asked for', async () => {
    running.upstream.respond(openaiStream({ usage: { inputTokens: 3, outputTokens: 5 } }));
    const chunks = await drain(
      await access.openai.chat.completions.create({
        ...HELLO,
        stream: true,
        stream_options: { include_usage: true },
      }),
    );
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { total_tokens: 8 } });
  });

  it('passes tools there and calls back', async () => {
    const call = {
      id: 'call_1',
      type: 'function',
      function: { name: 'weather', arguments: '{"city":"Oslo"}' },
    };
    running.upstream.respond(
      status(200, {
        id: 'chatcmpl-1',
        object: 'chat.completion',
        created: 1,
        model: MODEL,
        choices: [
          {
            index: 0,
            message: { role: 'assistant', content: null, tool_calls: [call] },
            finish_reason: 'tool_calls',
          },
        ],
        usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
      }),
    );
    const tool = {
      type: 'function' as const,
      function: {
        name: 'weather',
        parameters: { type: 'object', properties: { city: { type: 'string' } } },
      },
    };
    const answer = await access.openai.chat.completions.create({
      ...HELLO,
      tools: [tool],
      tool_choice: 'auto',
    });
    expect(answer.choices[0]?.message.tool_calls).toEqual([call]);
    expect(running.upstream.requests.at(-1)?.body).toMatchObject({ tools: [tool] });
  });
});

describe('@anthropic-ai/sdk', () => {
  it('creates a message', async () => {
    running.upstream.respond(anthropicJson({ content: 'Hi there.', model: MODEL }));
    const message = await access.anthropic.messages.create(HELLO_ANTHROPIC);
    expect(message.content).toEqual([{ type: 'text', text: 'Hi there.' }]);
    expect(message.usage).toMatchObject({ input_tokens: 11, output_tokens: 7 });
  });

  it('streams a message', async () => {
    running.upstream.respond(anthropicStream({ chunks: ['Hi ', 'there.'], model: MODEL }));
    const stream = access.anthropic.messages.stream(HELLO_ANTHROPIC);
    expect(await stream.finalText()).toBe('Hi there.');
    expect((await stream.finalMessage()).stop_reason).toBe('end_turn');
  });

  it('creates a beta message; the query that other versions send with it is passed on', async () => {
    running.upstream.respond(anthropicJson({ content: 'Hi' }));
    const message = await access.anthropic.beta.messages.create(HELLO_ANTHROPIC);
    expect(message.content).toEqual([{ type: 'text', text: 'Hi' }]);
    const answer = await post(
      `${running.url}/v1/messages?beta=true`,
      access.token,
      HELLO_ANTHROPIC,
    );
    expect(answer.status).toBe(200);
    expect(running.upstream.requests.at(-1)?.path).toBe('/v1/messages?beta=true');
  });

  it('passes tools there and calls back', async () => {
    running.upstream.respond(
      status(200, {
        id: 'msg_1',
        type: 'message',
        role: 'assistant',
        model: MODEL,
        content: [{ type: 'tool_use', id: 'toolu_1', name: 'weather', input: { city: 'Oslo' } }],
        stop_reason: 'tool_use',
        stop_sequence: null,
        usage: { input_tokens: 1, output_tokens: 1 },
      }),
    );
    const tool = { name: 'weather', input_schema: { type: 'object' as const } };
    const message = await access.anthropic.messages.create({ ...HELLO_ANTHROPIC, tools: [tool] });
    expect(message.content[0]).toMatchObject({ type: 'tool_use', name: 'weather' });
    expect(running.upstream.requests.at(-1)?.body).toMatchObject({ tools: [tool] });
  });

  it('keeps the version that the client speaks', async () => {
    running.upstream.respond(anthropicJson());
    await access.anthropic.messages.create(HELLO_ANTHROPIC, {
      headers: { 'anthropic-version': '2024-10-22' },
    });
    expect(lastUpstreamHeaders()['anthropic-version']).toBe('2024-10-22');
  });
});

describe('the list of models', () => {
  it('has what the grant covers and nothing else, in the shape of either vendor, and costs nothing', async () => {
    const narrow = await running.access({
      endpoints: [{ endpoint: 'demo', models: [MODEL] }],
      budgets: { requests: 1 },
    });
    const before = running.upstream.requests.length;
    const openai = await narrow.openai.models.list();
    expect(openai.data).toMatchObject([{ id: MODEL, object: 'model' }]);
    const anthropic = await narrow.anthropic.models.list();
    expect(anthropic.data).toMatchObject([{ id: MODEL, type: 'model', display_name: MODEL }]);
    expect(anthropic.has_more).toBe(false);
    expect(await narrow.openai.models.retrieve(MODEL)).toMatchObject({ id: MODEL });
    const elsewhere = await errorOf(narrow.openai.models.retrieve('model-b-1'));
    expect([elsewhere.status, codeOf(elsewhere)]).toEqual([403, 'model_not_granted']);
    expect(running.upstream.requests.length).toBe(before);
    expect(running.sums(narrow.grant)).toBeUndefined();
    const answered = running.entries({ kind: 'request.answered', grant: narrow.grant.id });
    expect(answered.map(({ operation }) => operation)).toEqual(['models', 'models', 'models']);
  });

  it('leaves out what an order has stopped', async () => {
    const reader = await running.access();
    const order = await running.api.post(running.people.safety, '/orders', {
      selector: { endpoint: 'other' },
      grounds: 'Test',
    });
    const models = (await reader.openai.models.list()).data.map(({ id }) => id);
    expect(models).toEqual(['model-a-1', 'model-b-1']);
    const { id } = order.body as { id: string };
    await running.api.post(running.people.admin, `/orders/${id}/lift`, { grounds: 'Test' });
  });

  it('is refused where the grant does not allow it', async () => {
    const without = await running.access({ operations: ['chat.completions'] });
    const error = await errorOf(without.openai.models.list());
    expect([error.status, codeOf(error)]).toEqual([403, 'operation_not_granted']);
  });
});

describe('credentials', () => {
  it('are taken as Bearer or as x-api-key, from both SDKs', async () => {
    running.upstream.respond(anthropicJson());
    const bearer = new Anthropic({
      baseURL: running.url,
      authToken: access.token,
      apiKey: null,
      maxRetries: 0,
    });
    expect((await bearer.messages.create(HELLO_ANTHROPIC)).type).toBe('message');
    expect((await access.anthropic.messages.create(HELLO_ANTHROPIC)).type).toBe('message');
    running.upstream.respond(openaiJson());
    const key = await post(`${running.url}/v1/chat/completions`, undefined, HELLO, {
      'x-api-key': access.token,
    });
    expect(key.status).toBe(200);
  });

  it('are refused when two different ones are sent, also under the same name', async () => {
    const other = await running.access();
    const before = running.upstream.requests.length;
    const both = await post(`${running.url}/v1/messages`, access.token, HELLO_ANTHROPIC, {
      'x-api-key': other.token,
    });
    expect(both.status).toBe(400);
    expect(await both.json()).toMatchObject({ error: { code: 'conflicting_credentials' } });
    const twice = await rawPost([
      `authorization: Bearer ${access.token}`,
      `authorization: Bearer ${other.token}`,
    ]);
    expect(twice).toMatch(/^HTTP\/1\.1 400 [^]*"code":"conflicting_credentials"/);
    expect(running.upstream.requests.length).toBe(before);
    // The same one twice is one.
    running.upstream.respond(openaiJson());
    const same = await post(`${running.url}/v1/chat/completions`, access.token, HELLO, {
      'x-api-key': access.token,
    });
    expect(same.status).toBe(200);
  });

  it.each([
    ['none', undefined, 'missing_credential'],
    ['not a token', 'sk-of-another-vendor', 'invalid_token'],
    ['a token with one bit changed', 'forged', 'invalid_token'],
    ['a token of the control API', 'control', 'invalid_token'],
  ])('are refused with 401: %s', async (_name, kind, code) => {
    const token =
      kind === 'forged'
        ? access.token.replace(/.$/, (last) => (last === 'A' ? 'Q' : 'A'))
        : kind === 'control'
          ? await running.api.tokenOf(running.people.researcher)
          : kind;
    const answer = await post(`${running.url}/v1/chat/completions`, token, HELLO);
    expect(answer.status).toBe(401);
    expect(await answer.json()).toMatchObject({ type: 'error', error: { code } });
    expect(answer.headers.get('www-authenticate')).toContain('resource_metadata=');
    expect(answer.headers.get('x-should-retry')).toBe('false');
  });

  it("stay here: the upstream gets the host's, and nothing that names or describes the client", async () => {
    const ask = { defaultHeaders: { 'openai-organization': 'org-client', 'x-custom': 'mine' } };
    const openai = new OpenAI({
      baseURL: `${running.url}/v1`,
      apiKey: access.token,
      maxRetries: 0,
      ...ask,
    });
    running.upstream.respond(openaiJson());
    await openai.chat.completions.create(HELLO);
    const sent = lastUpstreamHeaders();
    expect(sent['authorization']).toBe(`Bearer ${HOST_CREDENTIAL}`);
    expect(Object.keys(sent).sort()).toEqual([
      'accept',
      'accept-encoding',
      'authorization',
      'connection',
      'content-length',
      'content-type',
      'host',
      'user-agent',
    ]);
    running.upstream.respond(anthropicJson());
    await access.anthropic.messages.create(HELLO_ANTHROPIC);
    const toAnthropic = lastUpstreamHeaders();
    expect(toAnthropic['x-api-key']).toBe(HOST_CREDENTIAL);
    expect(Object.keys(toAnthropic).filter((name) => name.startsWith('x-'))).toEqual(['x-api-key']);
    expect(toAnthropic['authorization']).toBeUndefined();
    expect(JSON.stringify([sent, toAnthropic])).not.toContain(access.token);
  });

  it('of beta features are passed on only as far as the grant names them', async () => {
    running.upstream.respond(anthropicJson());
    const error = await errorOf(
      access.anthropic.messages.create(HELLO_ANTHROPIC, {
        headers: { 'anthropic-beta': 'files-api-2025-04-14' },
      }),
    );
    expect([error.status, codeOf(error)]).toEqual([403, 'feature_not_granted']);
  });
});

describe('errors of the broker', () => {
  it('carry the request id of the log, in headers, body and SDK', async () => {
    const error = await errorOf(
      access.openai.chat.completions.create({ ...HELLO, model: 'model-x' }),
    );
    const id = error.headers?.get('x-request-id') ?? '';
    expect(id).toMatch(/^req_/);
    expect(error.headers?.get('request-id')).toBe(id);
    expect(running.entries({ ref: id })).toMatchObject([
      { kind: 'request.denied', reason: 'model_not_granted', decision: 'denied' },
    ]);
    const raw = await post(`${running.url}/v1/messages`, access.token, {
      ...HELLO_ANTHROPIC,
      model: 'model-x',
    });
    expect(await raw.json()).toEqual({
      type: 'error',
      error: {
        type: 'permission_error',
        code: 'model_not_granted',
        message: expect.stringContaining('It covers: model-a-1') as string,
        param: 'model',
      },
      request_id: raw.headers.get('request-id'),
    });
  });

  it('become the classes that both SDKs have for them', async () => {
    const denied = { ...HELLO_ANTHROPIC, model: 'model-x', messages: [say('x')] };
    expect(await errorOf(access.anthropic.messages.create(denied))).toBeInstanceOf(
      anthropicSdk.PermissionDeniedError,
    );
    expect(await errorOf(access.openai.chat.completions.create(denied))).toBeInstanceOf(
      openaiSdk.PermissionDeniedError,
    );
  });
});

/** Sends a request with headers that no client library would. */
function rawPost(headers: string[]): Promise<string> {
  const { port } = new URL(running.url);
  const body = JSON.stringify(HELLO);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), '127.0.0.1');
    let text = '';
    socket.on('data', (chunk) => (text += chunk.toString()));
    socket.on('end', () => resolve(text)).on('error', reject);
    socket.write(
      [
        'POST /v1/chat/completions HTTP/1.1',
        'host: x',
        'connection: close',
        'content-type: application/json',
        `content-length: ${body.length}`,
        ...headers,
        '',
        body,
      ].join('\r\n'),
    );
  });
}
