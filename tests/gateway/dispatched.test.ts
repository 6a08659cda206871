/** What is authorised is what is dispatched (invariant 4), and everything else is refused with a reason. */
import { createHmac } from 'node:crypto';
import { connect } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { DENIALS } from '../../src/core/denials.ts';
import {
  HELLO,
  HELLO_ANTHROPIC,
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
import { anthropicJson, openaiJson, openaiStream } from '../support/scripted-upstream.ts';

const MAX_BODY_BYTES = 2_097_152;

let running: RunningBroker;
let access: Access;
let chat: string;
let messages: string;

beforeAll(async () => {
  running = await startRunningBroker({ gateway: { maxBodyBytes: MAX_BODY_BYTES } });
  access = await running.access();
  chat = `${running.url}/v1/chat/completions`;
  messages = `${running.url}/v1/messages`;
});
afterEach(() => {
  running.checkUpstream();
  running.upstream.respond(openaiJson());
});
afterAll(() => running.close());

const dispatched = (): unknown => running.upstream.requests.at(-1)?.body;

describe('invariant 4: what is authorised is what is dispatched; the body', () => {
  it('is the checked object, field for field, and what the log commits to', async () => {
    const asked = {
      ...HELLO,
      messages: [
        { role: 'system', content: 'Be “brief” 🦀.' },
        { role: 'user', content: [{ type: 'text', text: 'line\nbreak \u2028' }] },
      ],
      max_tokens: 12,
      temperature: 0.1,
      top_p: 1e-7,
      seed: -1,
      stop: ['\u0000'],
      tools: [{ type: 'function', function: { name: 'f', parameters: { a: [1, null, {}] } } }],
    };
    expect((await post(chat, access.token, asked)).status).toBe(200);
    const sent = running.upstream.requests.at(-1);
    expect(sent?.body).toEqual(asked);
    const [intent] = running.entries({ kind: 'request.intent' }).slice(-1);
    const salt = running.saltOf(intent?.ref ?? '');
    expect(intent?.data).toMatchObject({
      requestBytes: sent?.raw.length,
      requestCommitment: createHmac('sha256', salt)
        .update(sent?.raw ?? '')
        .digest('base64'),
      features: ['tools', 'systemPrompt'],
    });
  });

  it('gets a maximum of output tokens where it names none', async () => {
    await access.openai.chat.completions.create(HELLO);
    expect(dispatched()).toEqual({ ...HELLO, max_tokens: 1000 });
    await post(chat, access.token, { ...HELLO, max_tokens: null });
    expect(dispatched()).toEqual({ ...HELLO, max_tokens: 1000 });
    await post(chat, access.token, { ...HELLO, max_completion_tokens: 5 });
    expect(dispatched()).toEqual({ ...HELLO, max_completion_tokens: 5 });
  });

  it('asks for usage when it streams, whatever the client wants to see of it', async () => {
    running.upstream.respond(openaiStream());
    for (const options of [undefined, null, { include_usage: false }, { include_usage: true }]) {
      const answer = await post(chat, access.token, {
        ...HELLO,
        stream: true,
        ...(options === undefined ? {} : { stream_options: options }),
      });
      const text = await answer.text();
      expect(dispatched()).toMatchObject({ stream_options: { include_usage: true } });
      expect(text.includes('"choices":[]')).toBe(options?.include_usage === true);
    }
  });

  it('has one value for a key that the client sent twice: the one that was checked', async () => {
    const twice = (first: string, second: string): string =>
      `{"model":${JSON.stringify(first)},"messages":[{"role":"user","content":"x"}],"model":${JSON.stringify(second)}}`;
    const refused = await post(chat, access.token, twice(MODEL, 'model-secret'));
    expect(await refused.json()).toMatchObject({ error: { code: 'model_not_granted' } });
    expect((await post(chat, access.token, twice('model-secret', MODEL))).status).toBe(200);
    const sent = running.upstream.requests.at(-1)?.raw.toString() ?? '';
    expect(sent.match(/"model"/g)).toHaveLength(1);
    expect(sent).not.toContain('model-secret');
  });

  it('has fields that the gateway does not know only where the grant passes them', async () => {
    const loose = await running.access({ unknownFields: 'pass' });
    const asked = `{"model":"${MODEL}","messages":[{"role":"user","content":"x","mood":"calm"}],"max_tokens":1,"__proto__":{"n":99},"guidance":{"a":1}}`;
    expect((await post(chat, loose.token, asked)).status).toBe(200);
    expect(running.upstream.requests.at(-1)?.raw.toString()).toBe(asked);
    // The rest of what a grant says holds all the same.
    const hosted = await post(chat, loose.token, { ...HELLO, web_search_options: {} });
    expect(await hosted.json()).toMatchObject({ error: { code: 'feature_not_granted' } });
    // Whatever it is, it would be an image that nobody granted.
    const content = [{ image_url: { url: 'https://x.example/y.png' } }];
    const part = await post(chat, loose.token, { ...HELLO, messages: [{ role: 'user', content }] });
    expect(await part.json()).toMatchObject({
      error: { code: 'invalid_request', param: 'messages.0.content.0.type' },
    });
  });

  it('goes to the path of its dialect, without what the client put around it', async () => {
    running.upstream.respond(anthropicJson());
    await post(messages, access.token, HELLO_ANTHROPIC, {
      'x-model': 'model-secret',
      'x-forwarded-host': 'elsewhere.example',
      'anthropic-version': 'not a version',
      host: 'elsewhere.example',
    });
    const sent = running.upstream.requests.at(-1);
    expect([sent?.method, sent?.path]).toEqual(['POST', '/v1/messages']);
    expect(sent?.headers['anthropic-version']).toBe('2023-06-01');
    expect(sent?.headers.host).toBe(new URL(running.upstream.url).host);
    expect(JSON.stringify(sent?.headers)).not.toMatch(/model-secret|elsewhere/);
  });
});

const nested = (depth: number): string =>
  `${'[{"type":"tool_result","tool_use_id":"t","content":'.repeat(depth)}"x"${'}]'.repeat(depth)}`;

/** Requests that are refused: what is wrong, and what is sent. */
interface Refused {
  path?: string;
  method?: string;
  body?: unknown;
  headers?: Record<string, string>;
  status: number;
  code: keyof typeof DENIALS;
  param?: string;
}

const REFUSED: Record<string, Refused> = {
  'a model outside the grant': {
    body: { ...HELLO, model: 'model-z-9' },
    status: 403,
    code: 'model_not_granted',
    param: 'model',
  },
  'an alias of a pinned model': {
    body: { ...HELLO, model: 'model-a' },
    status: 403,
    code: 'model_not_granted',
    param: 'model',
  },
  'a pinned model in other letters': {
    body: { ...HELLO, model: 'MODEL-A-1' },
    status: 403,
    code: 'model_not_granted',
    param: 'model',
  },
  'a pinned model with a space': {
    body: { ...HELLO, model: `${MODEL} ` },
    status: 403,
    code: 'model_not_granted',
    param: 'model',
  },
  'a model that is not a text': {
    body: { ...HELLO, model: [MODEL] },
    status: 400,
    code: 'invalid_request',
    param: 'model',
  },
  'no model': {
    body: { messages: HELLO.messages },
    status: 400,
    code: 'invalid_request',
    param: 'model',
  },
  'a model in the query': {
    path: '/v1/chat/completions?model=model-b-1',
    status: 400,
    code: 'invalid_request',
  },
  'a query behind the query': {
    path: '/v1/messages?beta=true?model=model-b-1',
    status: 400,
    code: 'invalid_request',
  },
  'a model in the path': {
    path: '/v1/engines/model-b-1/chat/completions',
    status: 404,
    code: 'unknown_path',
  },
  'a path that leads elsewhere': {
    path: '/v1/chat/completions/../../admin',
    status: 404,
    code: 'unknown_path',
  },
  'a path in percent signs': { path: '/v1/chat%2Fcompletions', status: 404, code: 'unknown_path' },
  'another API': { path: '/v1/telepathy', status: 404, code: 'unknown_path' },
  'the wrong method': {
    method: 'GET',
    path: '/v1/messages',
    status: 405,
    code: 'method_not_allowed',
  },
  'a model list by POST': { path: '/v1/models', status: 405, code: 'method_not_allowed' },
  'an unknown field': {
    body: { ...HELLO, service_tier: 'flex' },
    status: 400,
    code: 'unknown_field',
    param: 'service_tier',
  },
  'an unknown field of a message': {
    body: { ...HELLO, messages: [{ ...say('x'), mood: 'calm' }] },
    status: 400,
    code: 'unknown_field',
    param: 'messages.0.mood',
  },
  'a field that is a part of every object': {
    body: `{"model":"${MODEL}","messages":[],"__proto__":{}}`,
    status: 400,
    code: 'unknown_field',
    param: '__proto__',
  },
  'a field whose name is a sentence': {
    body: { ...HELLO, 'tell me how': 1 },
    status: 400,
    code: 'unknown_field',
    param: '(unprintable name)',
  },
  'a feature outside the grant': {
    body: { ...HELLO, logprobs: true },
    status: 403,
    code: 'feature_not_granted',
    param: 'logprobs',
  },
  'tools that the upstream would carry out': {
    path: '/v1/messages',
    body: { ...HELLO_ANTHROPIC, tools: [{ type: 'web_search_20250305', name: 'web_search' }] },
    status: 403,
    code: 'feature_not_granted',
    param: 'tools.0',
  },
  'more answers than allowed': {
    body: { ...HELLO, n: 5 },
    status: 403,
    code: 'feature_not_granted',
    param: 'n',
  },
  'more output tokens than allowed': {
    body: { ...HELLO, max_tokens: 1001 },
    status: 403,
    code: 'feature_not_granted',
    param: 'max_tokens',
  },
  'a beginning of the answer': {
    path: '/v1/messages',
    body: { ...HELLO_ANTHROPIC, messages: [say('x'), { role: 'assistant', content: 'Sure' }] },
    status: 403,
    code: 'feature_not_granted',
    param: 'messages.1',
  },
  'a value of the wrong type': {
    body: { ...HELLO, stream: 'yes' },
    status: 400,
    code: 'invalid_request',
    param: 'stream',
  },
  'a null in place of a message': {
    body: { ...HELLO, messages: [null] },
    status: 400,
    code: 'invalid_request',
    param: 'messages.0',
  },
  'the wrong content type': {
    headers: { 'content-type': 'text/plain' },
    status: 415,
    code: 'unsupported_media_type',
  },
  'a compressed body': {
    body: gzipSync(JSON.stringify(HELLO)),
    headers: { 'content-encoding': 'gzip' },
    status: 415,
    code: 'unsupported_media_type',
  },
  'invalid UTF-8': {
    body: Buffer.concat([
      Buffer.from(`{"model":"${MODEL}","messages":[{"role":"user","content":"`),
      Buffer.from([0xc3, 0x28]),
      Buffer.from('"}]}'),
    ]),
    status: 400,
    code: 'invalid_json',
  },
  'malformed JSON': {
    body: `{"model":"${MODEL}","messages":[`,
    status: 400,
    code: 'invalid_json',
  },
  'an empty body': { body: '', status: 400, code: 'invalid_json' },
  'JSON that is no object': { body: '[]', status: 400, code: 'invalid_json' },
  'a body that is too large': {
    body: 'x'.repeat(MAX_BODY_BYTES + 1),
    status: 400,
    code: 'body_too_large',
  },
  'a body that is too large once its numbers are written out': {
    body: `{"model":"${MODEL}","messages":[],"stop":[${'1e15,'.repeat(200_000)}1]}`,
    status: 400,
    code: 'body_too_large',
  },
  // It is no JSON, either: that would take a parser to tell.
  'more parts than anybody looks at': {
    body: `{"model":"${MODEL}","messages":[],${'"x":[{},'.repeat(50_000)}`,
    status: 400,
    code: 'invalid_request',
    param: 'body',
  },
  'more keys than anybody copies': {
    body: `{"model":"${MODEL}","messages":[]${Array.from({ length: 10_000 }, (_, i) => `,"k${i}":1`).join('')}}`,
    status: 400,
    code: 'invalid_request',
    param: 'body',
  },
  'lists nested too deeply': {
    body: `{"model":"${MODEL}","messages":[],"stop":${'['.repeat(40_000)}${']'.repeat(40_000)}}`,
    status: 400,
    code: 'invalid_request',
    param: 'body',
  },
  'blocks nested too deeply': {
    path: '/v1/messages',
    body: `{"model":"${MODEL}","max_tokens":1,"messages":[{"role":"user","content":${nested(20_000)}}]}`,
    status: 400,
    code: 'invalid_request',
    param: 'body',
  },
};

describe('known failure 13: refused, recorded, not forwarded, not charged', () => {
  it.each(Object.entries(REFUSED))('%s', async (_, refused) => {
    const { path = '/v1/chat/completions', method = 'POST', headers = {}, param } = refused;
    const { body = path.includes('messages') ? HELLO_ANTHROPIC : HELLO } = refused;
    const before = running.upstream.requests.length;
    const sumsBefore = running.sums(access.grant);
    const answer =
      method === 'GET'
        ? await fetch(running.url + path, { headers: { authorization: `Bearer ${access.token}` } })
        : path.includes('..')
          ? await rawRequest(path, access.token)
          : await post(running.url + path, access.token, body, headers);
    expect(answer.status).toBe(refused.status);
    const requestId = answer.headers.get('x-request-id') ?? '';
    expect(await answer.json()).toEqual({
      type: 'error',
      error: {
        type: DENIALS[refused.code].type,
        code: refused.code,
        message: expect.stringMatching(/\w.*\.$/s) as string,
        param: param ?? null,
      },
      request_id: requestId,
    });
    expect(running.entries({ ref: requestId })).toMatchObject([
      {
        kind: 'request.denied',
        decision: 'denied',
        reason: refused.code,
        person: running.people.researcher.id,
        grant: access.grant.id,
      },
    ]);
    expect(running.upstream.requests.length).toBe(before);
    expect(running.sums(access.grant)).toEqual(sumsBefore);
  });

  it('a body that turns out to be too large while it is sent, at once', async () => {
    // Chunked, so that nothing announces its length; the client goes on sending until it is stopped.
    const answer = await endlessUpload(access.token);
    expect(answer).toMatch(/^HTTP\/1\.1 400 [^]*"code":"body_too_large"/);
  });

  it('headers that are too large, in the same shape, before anybody has looked at them', async () => {
    const before = running.upstream.requests.length;
    const answer = await post(chat, access.token, HELLO, { 'x-filler': 'x'.repeat(33_000) });
    expect(answer.status).toBe(431);
    expect(await answer.json()).toMatchObject({
      type: 'error',
      error: { code: 'headers_too_large' },
    });
    expect(running.upstream.requests.length).toBe(before);
  });

  it('by SDKs as what it is: not retried', async () => {
    const error = await errorOf(
      access.openai.chat.completions.create({ ...HELLO, service_tier: 'flex' }, { maxRetries: 2 }),
    );
    expect([error.status, codeOf(error)]).toEqual([400, 'unknown_field']);
    expect(error.headers?.get('x-should-retry')).toBe('false');
  });
});

describe('callers without a credential', () => {
  it('leave one entry for all of them', async () => {
    await running.test.broker.unauthenticated.flush();
    const before = running.entries().length;
    for (let i = 0; i < 5; i += 1) await post(chat, 'nonsense', HELLO);
    for (let i = 0; i < 3; i += 1) await post(messages, undefined, HELLO_ANTHROPIC);
    expect(running.entries().length).toBe(before);
    await running.test.broker.unauthenticated.flush();
    const [entry, ...more] = running.entries().slice(before);
    expect(more).toEqual([]);
    expect(entry).toMatchObject({
      kind: 'request.unauthenticated',
      data: { counts: { 'gateway invalid_token': 5, 'gateway missing_credential': 3 } },
    });
  });
});

describe('an endpoint that speaks one dialect', () => {
  it('is refused through the other', async () => {
    const only = await startRunningBroker({ dialects: ['openai'] });
    try {
      const { anthropic, openai } = await only.access();
      const error = await errorOf(anthropic.messages.create(HELLO_ANTHROPIC));
      expect([error.status, codeOf(error)]).toEqual([403, 'operation_not_granted']);
      only.upstream.respond(openaiStream());
      const chunks = await drain(await openai.chat.completions.create({ ...HELLO, stream: true }));
      expect(chunks.length).toBeGreaterThan(0);
    } finally {
      await only.close();
    }
  });
});

/** A request whose path no client library would send as it is. */
async function rawRequest(path: string, token: string): Promise<Response> {
  const text = await raw((socket) =>
    socket.write(
      `POST ${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer ${token}\r\ncontent-length: 0\r\n\r\n`,
    ),
  );
  const [head = '', body] = text.split('\r\n\r\n', 2);
  const [first = '', ...lines] = head.split('\r\n');
  const headers = lines.map((line) => line.split(/: (.*)/, 2) as [string, string]);
  return new Response(body, { status: Number(first.split(' ')[1]), headers });
}

/** Sends a chunked body without an end, until there is an answer. */
function endlessUpload(token: string): Promise<string> {
  return raw((socket) => {
    socket.write(
      `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nauthorization: Bearer ${token}\r\ntransfer-encoding: chunked\r\n\r\n`,
    );
    const chunk = `10000\r\n${'x'.repeat(65_536)}\r\n`;
    const send = (): void => {
      if (!socket.writable) return;
      if (socket.write(chunk)) setImmediate(send);
      else socket.once('drain', send);
    };
    send();
  });
}

function raw(send: (socket: ReturnType<typeof connect>) => void): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(Number(new URL(running.url).port), '127.0.0.1');
    let text = '';
    socket.on('data', (chunk) => (text += chunk.toString()));
    socket.on('data', () => {
      // The answer is whole: whoever is still sending has no reason to go on.
      if (text.endsWith('}')) socket.destroy();
    });
    socket.on('error', () => undefined).on('close', () => resolve(text));
    send(socket);
  });
}
