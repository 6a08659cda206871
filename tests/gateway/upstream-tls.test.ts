/** Upstreams that have to show who they are, over both versions of HTTP. */
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createSecureServer } from 'node:http2';
import { createServer as createHttpsServer } from 'node:https';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { parseConfig } from '../../src/config/load.ts';
import { DEMO_ENDPOINT } from '../support/test-broker.ts';
import { codeOf, errorOf, HELLO, startRunningBroker } from '../support/running-broker.ts';
import { Authority, hasOpenssl, type Pair } from '../support/certificates.ts';
import { call, failureOf, openUpstream } from '../support/upstream-calls.ts';

let folder: string;
let authority: Authority;
let good: Pair;
const cleanups: (() => void)[] = [];

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sallyport-upstream-tls-'));
  if (!hasOpenssl) return;
  authority = new Authority(folder, 'ca');
  good = authority.issue('good');
});
afterEach(() => {
  vi.unstubAllEnvs();
  for (const cleanup of cleanups.splice(0)) cleanup();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Speaks both versions of HTTP. */
async function serve(
  { certFile, keyFile }: Pair,
  clientCa?: string,
): Promise<{ url: string; requests: string[]; clients: (string | undefined)[] }> {
  const requests: string[] = [];
  const clients: (string | undefined)[] = [];
  const server = createSecureServer(
    {
      allowHTTP1: true,
      cert: readFileSync(certFile),
      key: readFileSync(keyFile),
      ...(clientCa === undefined
        ? {}
        : { ca: readFileSync(clientCa), requestCert: true, rejectUnauthorized: true }),
    },
    (req, res) => {
      requests.push(req.httpVersion);
      const socket = (req.httpVersion === '2.0' ? req.stream.session?.socket : req.socket) as
        TLSSocket | undefined;
      clients.push(socket?.getPeerCertificate().subject?.CN as string | undefined);
      res.end('{"ok":true}');
    },
  );
  const sockets = listen(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanups.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`, requests, clients };
}

function listen(server: Pick<Server, 'on'>): Set<Socket> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
  });
  return sockets;
}

function open(...args: Parameters<typeof openUpstream>): ReturnType<typeof openUpstream> {
  const opened = openUpstream(...args);
  cleanups.push(() => void opened.upstream.close());
  return opened;
}

describe.runIf(hasOpenssl).each([false, true])('HTTP/2: %s', (http2) => {
  it('an upstream of the configured authority is called', async () => {
    const server = await serve(good);
    const { upstream } = open(server.url, { http2, tls: { caFile: authority.caFile } });
    expect(await call(upstream).text()).toBe('{"ok":true}');
    expect(server.requests).toEqual([http2 ? '2.0' : '1.1']);
  });

  it.each<[string, string, () => Pair, () => string | undefined]>([
    [
      'for another host',
      'ERR_TLS_CERT_ALTNAME_INVALID',
      () => authority.issue('other', 'DNS:models.example'),
      () => authority.caFile,
    ],
    [
      'that has expired',
      'CERT_HAS_EXPIRED',
      () => authority.issue('expired', 'IP:127.0.0.1', -1),
      () => authority.caFile,
    ],
    [
      'of another authority',
      'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
      () => good,
      () => new Authority(folder, 'another').caFile,
    ],
    [
      'that no authority of the system vouches for',
      'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
      () => good,
      () => undefined,
    ],
  ])('a certificate %s: nothing is sent', async (_, cause, pair, caFile) => {
    // What would have Node.js trust everybody, if the connection did not say otherwise itself.
    vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0');
    const server = await serve(pair());
    const file = caFile();
    const { upstream, logged } = open(server.url, {
      http2,
      ...(file === undefined ? {} : { tls: { caFile: file } }),
    });
    const refused = call(upstream);
    expect(await failureOf(refused.head)).toEqual({
      code: 'upstream_unreachable',
      mayHaveArrived: false,
      message: expect.not.stringMatching(/certificate|127\.0\.0\.1/i) as string,
    });
    expect([refused.sent(), server.requests]).toEqual([0, []]);
    expect(logged).toEqual([
      expect.objectContaining({ endpoint: 'demo', code: 'upstream_unreachable', cause }),
    ]);
  });

  it('an upstream that wants a certificate of ours gets it', async () => {
    const server = await serve(good, authority.caFile);
    const { certFile, keyFile } = authority.issue('our-broker');
    const tls = { caFile: authority.caFile, certFile, keyFile };
    const { upstream } = open(server.url, { http2, tls });
    expect(await call(upstream).text()).toBe('{"ok":true}');
    expect(server.clients).toEqual(['our-broker']);
  });

  it('a connection that does not come about in time: nothing is sent', async () => {
    // Takes the connection, and never says anything.
    const silent = createServer();
    const sockets = listen(silent);
    silent.listen(0, '127.0.0.1');
    await once(silent, 'listening');
    cleanups.push(() => {
      for (const socket of sockets) socket.destroy();
      silent.close();
    });
    const url = `https://127.0.0.1:${(silent.address() as AddressInfo).port}`;
    const { upstream } = open(url, { http2, times: { connectMs: 100 } });
    const late = call(upstream);
    expect(await failureOf(late.head)).toMatchObject({
      code: 'upstream_unreachable',
      mayHaveArrived: false,
    });
    expect(late.sent()).toBe(0);
  });
});

it.runIf(hasOpenssl)('a refused certificate gives the reservation back', async () => {
  const server = await serve(good);
  const running = await startRunningBroker({ upstreamUrl: server.url });
  try {
    const { openai, grant } = await running.access({ budgets: { requests: 1 } });
    for (let i = 0; i < 2; i += 1) {
      const error = await errorOf(openai.chat.completions.create(HELLO));
      expect([error.status, codeOf(error)]).toEqual([502, 'upstream_unreachable']);
    }
    expect(running.sums(grant)).toMatchObject({ requestsSettled: 0, requestsReserved: 0 });
    expect(server.requests).toEqual([]);
  } finally {
    await running.close();
  }
});

it('a client that leaves while the connection is made pays nothing', async () => {
  // Takes connections, and never says anything.
  const silent = createServer();
  const sockets = listen(silent);
  silent.listen(0, '127.0.0.1');
  await once(silent, 'listening');
  const { port } = silent.address() as AddressInfo;
  const running = await startRunningBroker({ upstreamUrl: `https://127.0.0.1:${port}` });
  try {
    const { openai, grant } = await running.access();
    const leaving = new AbortController();
    const connected = once(silent, 'connection');
    const asked = errorOf(openai.chat.completions.create(HELLO, { signal: leaving.signal }));
    await connected;
    leaving.abort();
    await asked;
    expect((await running.outcomeOf(grant)).data).toMatchObject({
      end: 'not_forwarded',
      charged: { requests: 0, tokens: 0 },
    });
  } finally {
    await running.close();
    for (const socket of sockets) socket.destroy();
    silent.close();
  }
});

describe.runIf(hasOpenssl)('files that cannot be used are refused at the start', () => {
  const url = 'https://models.example';

  it('a missing one', () => {
    const caFile = join(folder, 'nowhere.pem');
    expect(() => openUpstream(url, { tls: { caFile } })).toThrow(`${caFile} cannot be read`);
  });

  it('one without a certificate', () => {
    const caFile = join(folder, 'empty.pem');
    writeFileSync(caFile, 'not a certificate');
    expect(() => openUpstream(url, { tls: { caFile } })).toThrow('holds no certificate');
  });

  it('a damaged certificate', () => {
    const caFile = join(folder, 'damaged.pem');
    writeFileSync(caFile, readFileSync(authority.caFile, 'utf8').replace(/\n.{20}/, '\n'));
    expect(() => openUpstream(url, { tls: { caFile } })).toThrow('is damaged');
  });

  it('a key of another certificate', () => {
    const { keyFile } = authority.issue('stranger');
    const { certFile } = good;
    expect(() => openUpstream(url, { tls: { certFile, keyFile } })).toThrow(
      'PEM files of one pair',
    );
  });

  it('a key that others can read', () => {
    const { certFile, keyFile } = authority.issue('open');
    writeFileSync(join(folder, 'open-copy.key'), readFileSync(keyFile), { mode: 0o644 });
    const tls = { certFile, keyFile: join(folder, 'open-copy.key') };
    expect(() => openUpstream(url, { tls })).toThrow('chmod 600');
  });
});

describe('the configuration', () => {
  const parse = (endpoint: object): unknown =>
    parseConfig({ endpoints: [{ ...DEMO_ENDPOINT, ...endpoint }] }, 'of a test');

  it.each([
    ['tls for an upstream without it', { tls: { caFile: 'ca.pem' } }, '"endpoints[0].tls"'],
    [
      'a certificate without its key',
      { upstream: 'https://models.example', tls: { certFile: 'cert.pem' } },
      'certFile and keyFile together',
    ],
    ['another version', { http2: 'yes' }, '"endpoints[0].http2"'],
  ])('refuses %s', (_, endpoint, saying) => {
    expect(() => parse(endpoint)).toThrow(saying);
  });
});

it.skipIf(!hasOpenssl)('a new connection resumes the session of one before it', async () => {
  const reused: boolean[] = [];
  const { certFile, keyFile } = good;
  const server = createHttpsServer(
    { cert: readFileSync(certFile), key: readFileSync(keyFile) },
    (req, res) => {
      reused.push((req.socket as TLSSocket).isSessionReused());
      res.setHeader('connection', 'close').end('{"ok":true}');
    },
  );
  const sockets = listen(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanups.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const { upstream } = open(url, { tls: { caFile: authority.caFile } });
  for (let i = 0; i < 3; i += 1) await call(upstream).text();
  expect(reused).toEqual([false, true, true]);
});
