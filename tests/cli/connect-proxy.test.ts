/** The local port, over real sockets: what passes, what does not, and how answers end. */
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { request, type IncomingMessage, type ServerResponse } from 'node:http';
import { connect as connectTcp } from 'node:net';
import { text } from 'node:stream/consumers';
import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { BrokerClient } from '../../src/cli/broker-client.ts';
import { DpopProofs } from '../../src/cli/connect/dpop.ts';
import { MOST_BODY_BYTES } from '../../src/cli/connect/read-body.ts';
import { startProxy, type Proxy } from '../../src/cli/connect/proxy.ts';
import { TokenKeeper } from '../../src/cli/connect/token-keeper.ts';
import { processSurroundings } from '../../src/cli/surroundings.ts';
import { ConnectBroker, MODEL, refuse } from './connect-broker.ts';

const ACCESS = { type: 'model_access', grant: 'grt_1', purpose: 'bias', run: 'pilot' };
const PERSON = 'per_00000000000000000000000001';
const around = processSurroundings();

let broker: ConnectBroker;
let proxy: Proxy;
let keeper: TokenKeeper;
let refusals: string[];
let localRefusals: string[];
let waitedFor: string[];
let renewals: number;
/** How much later it is for the token keeper than it is. */
let ahead: number;

async function startPort(waitMs = 0): Promise<void> {
  const { privateKey: key } = generateKeyPairSync('ed25519');
  const client = new BrokerClient(around, {
    url: broker.url,
    issuer: broker.url,
    person: PERSON,
    key,
  });
  const proofs = new DpopProofs(broker.url, around.clock);
  keeper = new TokenKeeper(
    () => client.requestToken(ACCESS, proofs),
    () => Date.now() + ahead,
    {
      renewed: () => void (renewals += 1),
      failed: () => undefined,
    },
  );
  proxy = await startProxy({
    brokerUrl: broker.url,
    port: 0,
    waitMs,
    onWait: ({ code }) => void waitedFor.push(code),
    keeper,
    proofs,
    onRefusal: ({ code }) => void refusals.push(code),
    onLocalRefusal: ({ code }) => void localRefusals.push(code),
    onLimits: () => undefined,
    onEnded: () => undefined,
    onChange: () => undefined,
  });
}

beforeEach(async () => {
  refusals = [];
  localRefusals = [];
  waitedFor = [];
  renewals = 0;
  ahead = 0;
  broker = await ConnectBroker.start();
  await startPort();
});

afterEach(async () => {
  await keeper.stop();
  await proxy.close();
  await broker.close();
});

function post(
  path: string,
  { headers, ...init }: Omit<RequestInit, 'headers'> & { headers?: Record<string, string> } = {},
): Promise<Response> {
  return fetch(`${proxy.url}${path}`, {
    method: 'POST',
    body: '{"a":1}',
    ...init,
    headers: { authorization: `Bearer ${proxy.key}`, ...headers },
  });
}

const codeOf = async (response: Response): Promise<string> =>
  ((await response.json()) as { error: { code: string } }).error.code;

/** Has the gateway begin a stream; resolves with its end of it. */
function nextStream(): Promise<{ req: IncomingMessage; res: ServerResponse }> {
  return new Promise((resolve) => {
    broker.gateway = (req, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' });
      res.flushHeaders();
      resolve({ req, res });
    };
  });
}

describe('a request', () => {
  it('goes on with a bound token and a proof of its own, and with nothing of the local credential', async () => {
    const response = await post('/v1/messages?beta=true', {
      headers: {
        authorization: '',
        'x-api-key': proxy.key,
        'anthropic-version': '2023-06-01',
        'accept-encoding': 'gzip, br',
        dpop: 'mine',
        cookie: 'a=b',
      },
    });
    expect(response.status).toBe(401);
    const passed = await post('/v1/messages?beta=true', {
      headers: { 'x-api-key': proxy.key, 'anthropic-version': '2023-06-01', cookie: 'a=b' },
    });
    expect(passed.status).toBe(200);
    const [{ path, headers, body, method } = {} as never] = broker.requests;
    expect({ path, method, body }).toEqual({
      path: '/v1/messages?beta=true',
      method: 'POST',
      body: '{"a":1}',
    });
    expect(headers['anthropic-version']).toBe('2023-06-01');
    expect(headers['accept-encoding']).toBe('identity');
    expect(JSON.stringify(headers)).not.toContain(proxy.key);
    expect(headers).not.toHaveProperty('x-api-key');
    expect(headers).not.toHaveProperty('cookie');
  });

  it('goes on with what the broker knows and what SDKs say of themselves, and nothing else', async () => {
    const passed = {
      accept: 'text/event-stream',
      'anthropic-beta': 'b-1',
      'content-type': 'application/json',
      'idempotency-key': 'once',
      'openai-beta': 'b-2',
      'user-agent': 'sdk/1',
      'x-stainless-retry-count': '1',
    };
    const kept = {
      'api-key': 'sk-azure',
      'x-goog-api-key': 'sk-goog',
      'x-forwarded-for': '10.0.0.1',
      'x-forwarded-host': 'inside.example',
      forwarded: 'for=10.0.0.1',
      'x-real-ip': '10.0.0.1',
      cookie: 'a=b',
      'x-mine': 'x',
      origin: 'http://inside.example',
    };
    const { status } = await post('/v1/messages', { headers: { ...passed, ...kept } });
    expect(status).toBe(200);
    const { headers = {} } = broker.requests[0] ?? {};
    expect(headers).toMatchObject(passed);
    for (const name of Object.keys(kept)) expect(headers).not.toHaveProperty(name);
  });

  it('keeps status, body and end-to-end headers of the answer, and no others', async () => {
    broker.gateway = (_req, res) => {
      res.writeHead(429, {
        'content-type': 'application/json',
        'retry-after': '7',
        'x-should-retry': 'true',
        'x-request-id': 'req_9',
        'x-ratelimit-limit-requests': '10',
        connection: 'keep-alive, x-hop',
        'x-hop': 'one',
      });
      res.end('{"error":{"code":"request_rate_limited","message":"Wait."}}');
    };
    const response = await post('/v1/chat/completions');
    expect(response.status).toBe(429);
    expect(response.headers.get('retry-after')).toBe('7');
    expect(response.headers.get('x-should-retry')).toBe('true');
    expect(response.headers.get('x-request-id')).toBe('req_9');
    expect(response.headers.get('x-ratelimit-limit-requests')).toBe('10');
    expect(response.headers.has('x-hop')).toBe(false);
    expect(response.headers.has('dpop-nonce')).toBe(false);
    expect(await response.text()).toBe(
      '{"error":{"code":"request_rate_limited","message":"Wait."}}',
    );
    expect(refusals).toEqual(['request_rate_limited']);
  });

  it('is sent again with the nonce that the broker wants, its body whole', async () => {
    expect((await post('/v1/messages')).status).toBe(200);
    expect(broker.challenges).toBe(1);
    broker.nonce = 'nonce-2';
    const body = JSON.stringify({ long: 'x'.repeat(100_000) });
    expect((await post('/v1/messages', { body })).status).toBe(200);
    expect(broker.challenges).toBe(2);
    expect(broker.requests.at(-1)?.body).toBe(body);
    expect((await post('/v1/messages')).status).toBe(200);
    expect(broker.challenges).toBe(2);
  });

  it('is passed back as refused where the broker wants one nonce after the other', async () => {
    await keeper.current();
    Object.defineProperty(broker, 'nonce', { get: () => `nonce-${Math.random()}` });
    const response = await post('/v1/messages');
    expect(response.status).toBe(401);
    expect(response.headers.has('www-authenticate')).toBe(false);
    expect(await codeOf(response)).toBe('use_dpop_nonce');
  });

  it('too large is refused in the shape of SDKs, before anything is sent', async () => {
    const body = Buffer.alloc(MOST_BODY_BYTES + 1);
    const response = await post('/v1/messages', { body });
    expect(response.status).toBe(400);
    expect(await codeOf(response)).toBe('body_too_large');
    expect(broker.requests).toHaveLength(0);
  });

  it('is told that the broker is out of reach, and may be tried again', async () => {
    await keeper.current();
    await broker.close();
    const response = await post('/v1/messages');
    expect(response.status).toBe(503);
    expect(response.headers.get('x-should-retry')).toBe('true');
    expect(await codeOf(response)).toBe('broker_unreachable');
  });

  it('that broke off without an answer is not to be tried again by itself', async () => {
    broker.gateway = (req) => req.socket.destroy();
    const response = await post('/v1/messages');
    expect(response.status).toBe(502);
    expect(response.headers.get('x-should-retry')).toBe('false');
    expect(await codeOf(response)).toBe('broker_gone');
  });
});

describe('the port', () => {
  it.each([
    ['no key', {}, 'local_key_missing'],
    ['another key', { authorization: 'Bearer slp-local-guess' }, 'local_key_wrong'],
    ['another key in the other header', { 'x-api-key': 'guess' }, 'local_key_wrong'],
    ['a password', { authorization: 'Basic Zm9vOmJhcg==' }, 'local_key_wrong'],
  ])('takes nothing with %s', async (_name, headers, code) => {
    const response = await fetch(`${proxy.url}/v1/models`, { headers });
    expect(response.status).toBe(401);
    expect(response.headers.get('x-should-retry')).toBe('false');
    const body = (await response.json()) as { type: string; error: object; request_id: string };
    expect(body).toMatchObject({ type: 'error', error: { type: 'authentication_error', code } });
    expect(body.error).toHaveProperty('param', null);
    expect(broker.issued.size).toBe(0);
  });

  it('takes no second credential beside the key', async () => {
    const response = await post('/v1/messages', { headers: { 'x-api-key': 'sk-another' } });
    expect(await codeOf(response)).toBe('local_key_and_another');
  });

  it.each(['evil.example', 'evil.example:PORT', '127.0.0.1', '[::1]:PORT', '127.0.0.2:PORT'])(
    'does not answer to the host %s',
    async (host) => {
      const { port } = new URL(proxy.url);
      const headers = { host: host.replace('PORT', port), authorization: `Bearer ${proxy.key}` };
      const asked = request(`${proxy.url}/v1/models`, { headers }).end();
      const [response] = (await once(asked, 'response')) as [IncomingMessage];
      expect(response.statusCode).toBe(403);
      expect(await text(response)).toContain('local_host_wrong');
      expect(broker.requests).toHaveLength(0);
    },
  );

  it('does not answer to two hosts, even where both are its own', async () => {
    const { port } = new URL(proxy.url);
    const socket = connectTcp(Number(port), '127.0.0.1');
    const host = `host: 127.0.0.1:${port}\r\n`;
    socket.write(`GET /v1/models HTTP/1.1\r\n${host}${host}x-api-key: ${proxy.key}\r\n\r\n`);
    expect(await text(socket)).toMatch(/^HTTP\/1\.1 403 .*local_host_wrong/s);
    expect(broker.requests).toHaveLength(0);
  });

  it('answers to localhost, and says nothing to pages of other origins', async () => {
    const { port } = new URL(proxy.url);
    const headers = {
      host: `LocalHost:${port}`,
      'x-api-key': proxy.key,
      origin: 'http://evil.example',
    };
    const asked = request(`${proxy.url}/v1/models`, { headers }).end();
    const [response] = (await once(asked, 'response')) as [IncomingMessage];
    expect(response.statusCode).toBe(200);
    expect(response.headers).not.toHaveProperty('access-control-allow-origin');
    response.resume();
    const preflight = await fetch(`${proxy.url}/v1/models`, { method: 'OPTIONS' });
    expect(preflight.status).toBe(401);
  });

  it.each([
    '/oauth/token',
    '/api/v1/grants',
    '/v1',
    '/v1/../oauth/revoke',
    '/v1/%2e%2e/oauth/revoke',
    '/v1/./models',
    'http://evil.example/v1/models',
    '//evil.example/v1/models',
  ])('passes on no path such as %s', async (path) => {
    const { port } = new URL(proxy.url);
    const socket = connectTcp(Number(port), '127.0.0.1');
    socket.write(
      `GET ${path} HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\nx-api-key: ${proxy.key}\r\nconnection: close\r\n\r\n`,
    );
    expect(await text(socket)).toMatch(/^HTTP\/1\.1 404 .*unknown_path/s);
    expect(broker.requests).toHaveLength(0);
  });

  it('has another key in each run', async () => {
    const before = proxy.key;
    await proxy.close();
    await startPort();
    expect(proxy.key).not.toBe(before);
    expect(before).toMatch(/^slp-local-[\w-]{43}$/);
  });
});

describe('a stream', () => {
  it('comes through as it goes, byte by byte', async () => {
    const begun = nextStream();
    const response = await post('/v1/chat/completions');
    const { res } = await begun;
    const reader = response.body?.getReader();
    const read = async (): Promise<string> =>
      Buffer.from((await reader?.read())?.value ?? []).toString('latin1');
    for (const piece of [
      'data: {"a',
      '":1}\n',
      '\n',
      Buffer.from('é').toString('latin1')[0] ?? '',
    ]) {
      res.write(piece, 'latin1');
      expect(await read()).toBe(piece);
    }
    res.end('data: [DONE]\n\n');
    expect(await read()).toBe('data: [DONE]\n\n');
    expect((await reader?.read())?.done).toBe(true);
    expect(refusals).toEqual([]);
  });

  it('that the broker breaks off breaks off here, and does not end', async () => {
    const begun = nextStream();
    const response = await post('/v1/chat/completions');
    const { res } = await begun;
    res.write('data: {"a":1}\n\n');
    const reader = response.body?.getReader();
    await reader?.read();
    res.destroy();
    await expect(reader?.read()).rejects.toThrow('terminated');
  });

  it.each([
    ['the broker breaks off', (res: ServerResponse) => void res.destroy()],
    ['the port closes', () => void proxy.close()],
  ])('does not look whole to a client of HTTP/1.0 when %s', async (_name, cut) => {
    const begun = nextStream();
    const { port } = new URL(proxy.url);
    const socket = connectTcp(Number(port), '127.0.0.1');
    socket.write(
      `GET /v1/models HTTP/1.0\r\nhost: 127.0.0.1:${port}\r\nx-api-key: ${proxy.key}\r\n\r\n`,
    );
    const { res } = await begun;
    res.write('data: {"a":1}\n\n');
    let got = '';
    await new Promise<void>((resolve) =>
      socket.on('data', (chunk) => {
        got += chunk.toString();
        if (got.endsWith('data: {"a":1}\n\n')) resolve();
      }),
    );
    expect(got).not.toMatch(/transfer-encoding|content-length/i);
    const end = once(socket, 'end').then(
      () => 'whole',
      (error: NodeJS.ErrnoException) => error.code,
    );
    cut(res);
    expect(await end).toBe('ECONNRESET');
  });

  it('that is cut with an error event passes it on, and is explained', async () => {
    const begun = nextStream();
    const response = await post('/v1/messages');
    const { res } = await begun;
    const event = `event: error\ndata: ${JSON.stringify({ type: 'error', error: { type: 'permission_error', code: 'grant_suspended', message: 'Suspended.' } })}\n\n`;
    res.write('event: ping\ndata: {}\n\n');
    res.end(event);
    expect(await response.text()).toBe(`event: ping\ndata: {}\n\n${event}`);
    expect(refusals).toEqual(['grant_suspended']);
  });

  it('stops at the broker as soon as the client goes', async () => {
    const begun = nextStream();
    const gone = new AbortController();
    await post('/v1/chat/completions', { signal: gone.signal });
    const { res } = await begun;
    const closed = once(res, 'close');
    gone.abort();
    await closed;
    expect(res.writableFinished).toBe(false);
    await vi.waitFor(() => expect(proxy.counts().running).toBe(0));
  });

  it('is not asked for any longer where the client goes before it begins', async () => {
    const asked = new Promise<IncomingMessage>(
      (resolve) => (broker.gateway = (req) => resolve(req)),
    );
    const gone = new AbortController();
    const response = post('/v1/chat/completions', { signal: gone.signal }).catch(() => 'gone');
    const { socket } = await asked;
    const closed = once(socket, 'close');
    gone.abort();
    await closed;
    expect(await response).toBe('gone');
    await vi.waitFor(() => expect(proxy.counts().running).toBe(0));
  });

  it('waits for a slow reader, and so does the broker', async () => {
    const begun = nextStream();
    const asked = request(`${proxy.url}/v1/messages`, {
      method: 'POST',
      headers: { 'x-api-key': proxy.key },
    }).end('{}');
    const [response] = (await once(asked, 'response')) as [IncomingMessage];
    const { res } = await begun;
    response.pause();
    const chunk = Buffer.alloc(256 * 1024, 'x');
    let written = 0;
    let waits = false;
    // What the sockets on both ways take up is far less than the bound.
    while (!waits && written < 400) {
      written += 1;
      if (res.write(chunk)) continue;
      waits = await Promise.race([
        once(res, 'drain').then(() => false),
        new Promise<boolean>((resolve) => setTimeout(resolve, 300, true)),
      ]);
    }
    expect(waits).toBe(true);
    const rest = text(response);
    res.end();
    expect((await rest).length).toBe(written * chunk.length);
  });
});

describe('the token', () => {
  it('is got once for many requests at the same time', async () => {
    const statuses = await Promise.all(
      Array.from({ length: 20 }, async () => (await post('/v1/messages')).status),
    );
    expect(new Set(statuses)).toEqual(new Set([200]));
    expect(broker.issued.size).toBe(1);
  });

  it('is renewed under a running stream, which never notices', async () => {
    broker.lifetime = 6;
    const begun = nextStream();
    const response = await post('/v1/chat/completions');
    const { res } = await begun;
    res.write('data: 1\n\n');
    await vi.waitFor(() => expect(renewals).toBe(2), 5_000);
    broker.gateway = (_req, other) => void other.end('{}');
    expect((await post('/v1/messages')).status).toBe(200);
    expect(broker.requests.map(({ token }) => token)).toEqual(['h.1.s', 'h.2.s']);
    res.end('data: [DONE]\n\n');
    expect(await response.text()).toBe('data: 1\n\ndata: [DONE]\n\n');
  });

  it('that has expired is replaced, and the request sent again', async () => {
    await post('/v1/messages');
    broker.expireAll();
    const statuses = await Promise.all(
      Array.from({ length: 5 }, async () => (await post('/v1/messages')).status),
    );
    expect(new Set(statuses)).toEqual(new Set([200]));
    expect(broker.issued.size).toBe(2);
    expect(refusals).toEqual([]);
  });

  it('that was revoked is not replaced: everything is refused from then on', async () => {
    await post('/v1/messages');
    broker.revokeAll();
    const first = await post('/v1/messages');
    expect([first.status, await codeOf(first)]).toEqual([401, 'token_revoked']);
    const second = await post('/v1/messages');
    expect(second.status).toBe(401);
    expect(second.headers.get('x-should-retry')).toBe('false');
    expect(await codeOf(second)).toBe('token_revoked');
    expect(broker.issued.size).toBe(1);
    expect(refusals).toEqual(['token_revoked']);
    expect(localRefusals).toEqual(['token_revoked']);
  });

  it('that was revoked after another took its place does not end the run', async () => {
    await post('/v1/messages');
    const old = await keeper.current();
    const { text: inHand } = await keeper.replace(old);
    const revoked = broker.issued.get(old.text);
    if (revoked) revoked.revoked = true;
    vi.spyOn(keeper, 'current').mockResolvedValueOnce(old);
    expect((await post('/v1/messages')).status).toBe(200);
    expect(broker.requests.at(-1)?.token).toBe(inHand);
    expect((await post('/v1/messages')).status).toBe(200);
    expect(broker.issued.size).toBe(2);
    expect(refusals).toEqual([]);
  });

  it('whose key was retired is replaced', async () => {
    await post('/v1/messages');
    const { text: old } = await keeper.current();
    broker.retired.add(old);
    expect((await post('/v1/messages')).status).toBe(200);
    expect(broker.issued.size).toBe(2);
    expect(refusals).toEqual([]);
  });

  it('that is refused, and the next one as well, ends the run with the reason', async () => {
    await post('/v1/messages');
    vi.spyOn(broker.retired, 'has').mockReturnValue(true);
    for (let i = 0; i < 3; i += 1) {
      const refused = await post('/v1/messages');
      expect([refused.status, await codeOf(refused)]).toEqual([401, 'invalid_token']);
    }
    expect(broker.issued.size).toBe(2);
    expect(refusals).toEqual(['invalid_token']);
    expect(localRefusals).toEqual(['invalid_token', 'invalid_token']);
  });

  it('that is not to be had is explained to the SDK, and asked for again later', async () => {
    broker.refuseTokens = {
      status: 400,
      error: 'unauthorized_client',
      code: 'grant_suspended',
      description: 'The grant is suspended by an order.',
    };
    const refused = await post('/v1/messages');
    expect(refused.status).toBe(403);
    expect(await refused.json()).toMatchObject({
      type: 'error',
      error: {
        type: 'permission_error',
        code: 'grant_suspended',
        message: 'The grant is suspended by an order.',
      },
    });
    broker.refuseTokens = undefined;
    // Not asked at once: an order is seldom lifted within seconds.
    expect((await post('/v1/messages')).status).toBe(403);
    ahead = 4_000;
    expect((await post('/v1/messages')).status).toBe(200);
  });
});

describe('a limit', () => {
  const AGAIN = { 'x-should-retry': 'true', 'retry-after': '60' };
  const WAIT = { code: 'concurrency_limited', message: 'Wait.' };

  beforeEach(async () => {
    await proxy.close();
    await startPort(120_000);
  });

  /** One that runs until it is told to end, so that what waits for it waits for nothing else. */
  async function holdOne(): Promise<() => Promise<void>> {
    const begun = nextStream();
    const response = await post('/v1/chat/completions');
    const { res } = await begun;
    return async () => {
      res.end();
      await response.text();
    };
  }

  /** Refuses what comes, with more or other headers. */
  function limit(headers: Record<string, string> = {}, body: object = { error: WAIT }): void {
    broker.gateway = (_req, res) => {
      res.writeHead(429, { 'content-type': 'application/json', ...AGAIN, ...headers });
      res.end(JSON.stringify(body));
    };
  }

  it('is waited out, and the request sent again as it was, with whatever is new', async () => {
    const endIt = await holdOne();
    limit();
    const body = JSON.stringify({ long: 'x'.repeat(100_000) });
    const asked = post('/v1/messages?beta=true', { body, headers: { 'anthropic-beta': 'b-1' } });
    await vi.waitFor(() => expect(proxy.counts()).toMatchObject({ running: 1, waiting: 1 }));
    expect(waitedFor).toEqual(['concurrency_limited']);
    broker.nonce = 'nonce-2';
    broker.expireAll();
    broker.gateway = (_req, res) => void res.end('{"id":"answer"}');
    await endIt();
    const response = await asked;
    expect([response.status, await response.text()]).toEqual([200, '{"id":"answer"}']);
    const [first, second] = broker.requests.slice(1);
    expect(second?.body).toBe(body);
    expect([second?.path, second?.method]).toEqual([first?.path, first?.method]);
    expect(second?.headers['anthropic-beta']).toBe('b-1');
    expect(second?.token).not.toBe(first?.token);
    expect(refusals).toEqual([]);
    expect(proxy.counts()).toMatchObject({ total: 2, running: 0, waiting: 0, refused: 0 });
  });

  it.each([
    ['of the upstream, whatever it says', { 'x-sallyport-source': 'upstream' }, { error: WAIT }],
    ['that the broker does not know', {}, { error: { ...WAIT, code: 'rate_limit_exceeded' } }],
    ['of the token endpoint', {}, { error: { ...WAIT, code: 'too_many_tokens' } }],
    ['of somebody in between', {}, { detail: 'Slow down.' }],
    ['that is not to be tried again', { 'x-should-retry': 'false' }, { error: WAIT }],
    ['without a time', { 'retry-after': '' }, { error: WAIT }],
    ['for longer than any limit lasts', { 'retry-after': '3600' }, { error: WAIT }],
  ])('%s is passed back as it is, and asked for once', async (_name, headers, body) => {
    const endIt = await holdOne();
    limit(headers, body);
    const response = await post('/v1/messages');
    expect(response.status).toBe(429);
    expect(await response.json()).toEqual(body);
    expect(response.headers.get('retry-after')).toBe({ ...AGAIN, ...headers }['retry-after']);
    expect(broker.requests).toHaveLength(2);
    expect(waitedFor).toEqual([]);
    await endIt();
  });

  it.each([403, 500, 503])('is 429 only: %i is passed back', async (status) => {
    broker.gateway = (_req, res) => {
      res.writeHead(status, AGAIN).end(JSON.stringify({ error: WAIT }));
    };
    expect((await post('/v1/messages')).status).toBe(status);
    expect(broker.requests).toHaveLength(1);
  });

  it('is not for what is looked up', async () => {
    proxy.allow(1);
    const endIt = await holdOne();
    broker.gateway = (_req, res) => void res.end('{}');
    const headers = { 'x-api-key': proxy.key };
    expect((await fetch(`${proxy.url}/v1/models`, { headers })).status).toBe(200);
    await endIt();
  });

  it('that is waited for hides no order', async () => {
    const endIt = await holdOne();
    limit();
    const asked = post('/v1/messages');
    await vi.waitFor(() => expect(proxy.counts().waiting).toBe(1));
    broker.gateway = (_req, res) => refuse(res, 403, 'grant_suspended', 'Suspended.');
    await endIt();
    expect(await codeOf(await asked)).toBe('grant_suspended');
    expect(refusals).toEqual(['grant_suspended']);
  });

  it('that is waited for ends with the port: nothing was sent, and that is said', async () => {
    const endIt = await holdOne();
    limit();
    const asked = post('/v1/messages');
    await vi.waitFor(() => expect(proxy.counts().waiting).toBe(1));
    const drained = proxy.drain();
    const refused = await asked;
    expect([refused.status, await codeOf(refused)]).toEqual([503, 'local_stopping']);
    await endIt();
    await drained;
  });
});

describe('the end', () => {
  it('lets what runs end, and takes nothing new', async () => {
    const begun = nextStream();
    const response = await post('/v1/chat/completions');
    const { res } = await begun;
    const drained = proxy.drain();
    await expect(post('/v1/messages')).rejects.toThrow('fetch failed');
    res.end('data: [DONE]\n\n');
    expect(await response.text()).toBe('data: [DONE]\n\n');
    await drained;
  });

  it('breaks off what still runs when it has to be at once', async () => {
    const begun = nextStream();
    const response = await post('/v1/chat/completions');
    const { res } = await begun;
    const closed = once(res, 'close');
    await proxy.close();
    await expect(response.text()).rejects.toThrow('terminated');
    await closed;
  });
});

describe('unmodified SDKs', () => {
  it('of OpenAI stream through it', async () => {
    broker.gateway = (_req, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' });
      for (const content of ['Hel', 'lo'])
        res.write(`data: ${JSON.stringify({ choices: [{ index: 0, delta: { content } }] })}\n\n`);
      res.end('data: [DONE]\n\n');
    };
    const openai = new OpenAI({ baseURL: `${proxy.url}/v1`, apiKey: proxy.key, maxRetries: 0 });
    const stream = await openai.chat.completions.create({
      model: MODEL,
      messages: [{ role: 'user', content: 'Hello!' }],
      stream: true,
    });
    let said = '';
    for await (const chunk of stream) said += chunk.choices[0]?.delta.content ?? '';
    expect(said).toBe('Hello');
  });

  it('of Anthropic raise what the broker refuses', async () => {
    broker.gateway = (_req, res) => refuse(res, 403, 'quota_exhausted', 'The budget is used up.');
    const anthropic = new Anthropic({ baseURL: proxy.url, apiKey: proxy.key, authToken: null });
    const asked = anthropic.messages.create({
      model: MODEL,
      max_tokens: 10,
      messages: [{ role: 'user', content: 'Hello!' }],
    });
    await expect(asked).rejects.toMatchObject({ status: 403 });
    expect(broker.requests).toHaveLength(1);
    expect(refusals).toEqual(['quota_exhausted']);
  });
});
