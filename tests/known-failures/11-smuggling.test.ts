/**
 * Known failure 11: no request hides in another, and nothing that a client sends chooses where the broker connects.
 * Redirects are tested in tests/gateway/upstream-errors.test.ts, headers in tests/gateway/dispatched.test.ts.
 */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  HELLO,
  MODEL,
  post,
  startRunningBroker,
  type Access,
  type RunningBroker,
} from '../support/running-broker.ts';
import { exchangeBytes, statusesOf } from '../support/raw-client.ts';

let running: RunningBroker;
let access: Access;
/** Where nothing may connect to. */
let elsewhere: Server;
let visited: string[];
let elsewhereUrl: string;

beforeAll(async () => {
  running = await startRunningBroker();
  access = await running.access();
  visited = [];
  elsewhere = createServer((req, res) => {
    visited.push(`${req.method} ${req.url}`);
    res.end('{}');
  });
  elsewhere.on('connection', () => visited.push('a connection'));
  await new Promise<void>((resolve) => {
    elsewhere.listen(0, '127.0.0.1', resolve);
  });
  elsewhereUrl = `http://127.0.0.1:${(elsewhere.address() as AddressInfo).port}`;
});
afterEach(() => {
  running.checkUpstream();
  if (visited.length > 0) throw new Error(`Somewhere else was asked: ${visited.join(', ')}.`);
});
afterAll(async () => {
  elsewhere.close();
  await running.close();
});

const ask = (content: string): string =>
  JSON.stringify({ model: MODEL, messages: [{ role: 'user', content }] });

const headOf = (...lines: string[]): string =>
  [
    'POST /v1/chat/completions HTTP/1.1',
    'host: broker',
    `authorization: Bearer ${access.token}`,
    'content-type: application/json',
    ...lines,
    '\r\n',
  ].join('\r\n');

const chunked = (text: string): string =>
  `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n0\r\n\r\n`;

/** The request that is hidden: it would pass, were it taken for one. */
const hidden = (): string => {
  const body = ask('smuggled');
  return `${headOf(`content-length: ${body.length}`)}${body}`;
};

describe('known failure 11: a request whose length is told twice', () => {
  const LENGTHS: Record<string, (body: string) => string> = {
    'CL.TE': (body) =>
      `${headOf(`content-length: ${chunked(body).length + hidden().length}`, 'transfer-encoding: chunked')}${chunked(body)}`,
    'TE.CL': (body) =>
      `${headOf('transfer-encoding: chunked', 'content-length: 4')}${chunked(body)}`,
    'TE.TE, one of them unknown': (body) =>
      `${headOf('transfer-encoding: chunked', 'transfer-encoding: cow', `content-length: ${body.length}`)}${chunked(body)}`,
    'TE with a name in front': (body) =>
      `${headOf('transfer-encoding: xchunked', `content-length: ${body.length}`)}${body}`,
    'TE with something behind': (body) =>
      `${headOf('transfer-encoding: chunked, identity', `content-length: ${body.length}`)}${body}`,
    'TE with a space before the colon': (body) =>
      `${headOf('transfer-encoding : chunked', `content-length: ${body.length}`)}${body}`,
    'TE behind a folded line': (body) =>
      `${headOf('x-header: a', ' transfer-encoding: chunked', `content-length: ${body.length}`)}${body}`,
    'TE behind a bare line feed': (body) =>
      `${headOf(`x-header: a\ntransfer-encoding: chunked`, `content-length: ${body.length}`)}${body}`,
    'two lengths': (body) =>
      `${headOf(`content-length: ${body.length}`, `content-length: ${body.length + hidden().length}`)}${body}`,
    'two lengths in one header': (body) =>
      `${headOf(`content-length: ${body.length}, ${body.length + 7}`)}${body}`,
    'a length with a sign': (body) => `${headOf(`content-length: +${body.length}`)}${body}`,
    'a length in hexadecimal': (body) =>
      `${headOf(`content-length: 0x${body.length.toString(16)}`)}${body}`,
    'a chunk with a sign': (body) => `${headOf('transfer-encoding: chunked')}+${chunked(body)}`,
    'a chunk without its line end': (body) =>
      `${headOf('transfer-encoding: chunked')}${body.length.toString(16)}\r\n${body}0\r\n\r\n`,
  };

  it.each(Object.entries(LENGTHS))(
    '%s: refused, and what follows it is no request',
    async (_, of) => {
      const before = running.upstream.requests.length;
      const answer = await exchangeBytes(running.url, of(ask('visible')) + hidden(), 3);
      expect(statusesOf(answer)).toEqual([400]);
      expect(running.upstream.requests.slice(before).map(({ raw }) => raw.toString())).toEqual([]);
    },
  );

  it('is one request when it is told once, however it is told', async () => {
    const body = ask('visible');
    for (const whole of [
      `${headOf(`content-length: ${body.length}`)}${body}`,
      `${headOf('transfer-encoding: chunked')}${chunked(body)}`,
    ]) {
      const before = running.upstream.requests.length;
      expect(statusesOf(await exchangeBytes(running.url, whole))).toEqual([200]);
      expect(running.upstream.requests.length).toBe(before + 1);
      // Retold for the upstream: its length, and nothing of the client's way of saying it.
      const { headers, raw } = running.upstream.requests.at(-1) ?? {};
      expect(headers?.['content-length']).toBe(String(raw?.length));
      expect(headers?.['transfer-encoding']).toBeUndefined();
    }
  });

  it('ends where its length says: what follows is a request of its own, which has to show a token', async () => {
    const before = running.upstream.requests.length;
    const body = ask('visible');
    const first = `${headOf(`content-length: ${body.length}`)}${body}`;
    const second = hidden().replace(/authorization: .*\r\n/, '');
    const answer = await exchangeBytes(running.url, first + second, 2);
    expect(statusesOf(answer)).toEqual([200, 401]);
    expect(running.upstream.requests.length).toBe(before + 1);
  });
});

describe('known failure 11: a client that chooses the upstream', () => {
  it.each([
    'x-portkey-custom-host',
    'x-portkey-provider',
    'x-litellm-api-base',
    'x-upstream-url',
    'x-target-url',
    'x-forwarded-host',
    'x-forwarded-server',
    'x-original-url',
    'x-rewrite-url',
    'helicone-target-url',
    'openai-base-url',
    'forwarded',
    'host',
    'via',
  ])('by the header %s: it is not heeded', async (name) => {
    const value = name === 'forwarded' ? `host=${elsewhereUrl}` : elsewhereUrl;
    const before = running.upstream.requests.length;
    const body = ask('visible');
    const lines = [`${name}: ${value}`, `content-length: ${body.length}`];
    const text = headOf(...lines).replace(name === 'host' ? /host: broker\r\n/ : /$^/, '');
    expect(statusesOf(await exchangeBytes(running.url, text + body))).toEqual([200]);
    const sent = running.upstream.requests.slice(before);
    expect(sent).toHaveLength(1);
    expect(JSON.stringify(sent[0]?.headers)).not.toContain(elsewhereUrl);
    expect(sent[0]?.headers.host).toBe(new URL(running.upstream.url).host);
  });

  it.each(['api_base', 'base_url', 'custom_llm_provider', 'upstream', 'proxy', 'webhook_url'])(
    'by the field %s: it is refused',
    async (name) => {
      const before = running.upstream.requests.length;
      const body = { ...HELLO, [name]: elsewhereUrl };
      const answer = await post(`${running.url}/v1/chat/completions`, access.token, body);
      expect([answer.status, (await answer.json()) as object]).toMatchObject([
        400,
        { error: { code: 'unknown_field', param: name } },
      ]);
      expect(running.upstream.requests.length).toBe(before);
    },
  );

  it.each([
    ['POST', () => `${elsewhereUrl}/v1/chat/completions`],
    ['POST', () => `${running.upstream.url}/v1/chat/completions`],
    ['GET', () => `${elsewhereUrl}/`],
    ['GET', () => 'http://169.254.169.254/latest/meta-data/'],
    ['POST', () => `//${new URL(elsewhereUrl).host}/v1/chat/completions`],
    ['POST', () => `/v1/chat/completions@${new URL(elsewhereUrl).host}`],
    ['POST', () => `/v1\\@${new URL(elsewhereUrl).host}/chat/completions`],
    ['CONNECT', () => new URL(elsewhereUrl).host],
    ['OPTIONS', () => '*'],
    ['TRACE', () => '/v1/chat/completions'],
  ])('by the request line of %s (case %#): nothing is forwarded', async (method, target) => {
    const before = running.upstream.requests.length;
    const body = ask('visible');
    const text = headOf(`content-length: ${body.length}`, 'connection: close').replace(
      'POST /v1/chat/completions',
      () => `${method} ${target()}`,
    );
    const answer = await exchangeBytes(running.url, text + body);
    expect(statusesOf(answer).every((code) => code >= 400)).toBe(true);
    expect(answer).not.toContain(access.token);
    expect(running.upstream.requests.length).toBe(before);
  });

  it.each(['websocket', 'h2c'])('by asking to change to %s: it stays HTTP', async (protocol) => {
    const body = ask('visible');
    const text = headOf(
      'connection: upgrade, http2-settings',
      `upgrade: ${protocol}`,
      'http2-settings: AAMAAABkAAQAoAAAAAIAAAAA',
      `content-length: ${body.length}`,
    );
    expect(statusesOf(await exchangeBytes(running.url, text + body))).toEqual([200]);
    const { headers } = running.upstream.requests.at(-1) ?? {};
    expect([headers?.upgrade, headers?.['http2-settings']]).toEqual([undefined, undefined]);
  });

  it('by a header that it says is only for the next hop: the credential stays, and stays ours', async () => {
    const body = ask('visible');
    const text = headOf(
      'connection: authorization, x-api-key, content-length',
      `content-length: ${body.length}`,
    );
    expect(statusesOf(await exchangeBytes(running.url, text + body))).toEqual([200]);
    const { headers } = running.upstream.requests.at(-1) ?? {};
    expect(headers?.authorization).toMatch(/^Bearer sk-host-credential/);
  });
});
