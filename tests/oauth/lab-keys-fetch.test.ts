import { execFileSync, spawnSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { Agent } from 'undici';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createLogger } from '../../src/lib/log.ts';
import { LabKeys } from '../../src/oauth/lab-keys.ts';
import { fetchKeySet, type RemoteKeySet } from '../../src/oauth/remote-jwks.ts';
import { KeyServer, makeJwk, sendKeys, type KeyAnswer } from '../support/key-server.ts';

const hasOpenssl = spawnSync('openssl', ['version']).status === 0;
// oxlint-disable-next-line no-console -- whoever reads the results must know
if (!hasOpenssl) console.warn('SKIPPED: the test of certificates needs the program openssl.');

let server: KeyServer;
let agent: Agent;

beforeEach(async () => {
  server = await KeyServer.start();
  agent = new Agent();
});
afterEach(async () => {
  await agent.destroy();
  await server.close();
});

const fetchKeys = (url = server.url, withinMs = 5_000): Promise<RemoteKeySet> =>
  fetchKeySet(url, { agent, allowInsecureLoopback: true, withinMs, now: Date.now() });

const set = { keys: [makeJwk('a')] };

test('keys are read, with the time that they may be kept', async () => {
  server.answer = (res) => sendKeys(res, set, { 'cache-control': 'max-age=77' });
  const { keys, lifetimeMs } = await fetchKeys();
  expect(keys.map(({ kid }) => kid)).toEqual(['a']);
  expect(lifetimeMs).toBe(77_000);
});

test.each([
  'application/json',
  'application/json; charset=utf-8',
  'Application/JWK-Set+JSON',
  'application/vnd.lab.keys+json',
])('%s is JSON', async (type) => {
  server.answer = (res) => sendKeys(res, set, { 'content-type': type });
  await expect(fetchKeys()).resolves.toBeDefined();
});

test('nothing of a private key is taken, and the public ones beside it are', async () => {
  const { privateKey } = generateKeyPairSync('ed25519');
  const leaked = { ...privateKey.export({ format: 'jwk' }), kid: 'leaked' };
  server.answer = (res) => sendKeys(res, { keys: [leaked, ...set.keys] });
  expect((await fetchKeys()).keys.map(({ kid }) => kid)).toEqual(['a']);
});

const json = (res: ServerResponse, headers: object = {}): ServerResponse =>
  res.writeHead(200, { 'content-type': 'application/json', ...headers });

const filler = (bytes: number): string => JSON.stringify({ ...set, filler: 'x'.repeat(bytes) });

describe('an answer is refused that', () => {
  test.each<[string, KeyAnswer, RegExp]>([
    ['has another status', (res) => res.writeHead(404).end(), /status 404/],
    ['is a success of another kind', (res) => res.writeHead(204).end(), /status 204/],
    ['is a web page', (res) => sendKeys(res, set, { 'content-type': 'text/html' }), /type/],
    [
      'is of a type like it',
      (res) => sendKeys(res, set, { 'content-type': 'application/jsonp' }),
      /type/,
    ],
    ['has no type', (res) => res.writeHead(200).end(JSON.stringify(set)), /type/],
    ['says it is too large', (res) => json(res, { 'content-length': 65_537 }).write('{'), /65536/],
    ['is too large', (res) => json(res).end(filler(65_536)), /65536/],
    [
      'is compressed',
      (res) => json(res, { 'content-encoding': 'gzip' }).end(gzipSync(JSON.stringify(set))),
      /compressed/,
    ],
    ['is no JSON', (res) => json(res).end('keys'), /not JSON/],
    ['is not UTF-8', (res) => json(res).end(Buffer.from([0x22, 0xff, 0x22])), /not JSON/],
    ['is no JWK set', (res) => json(res).end('[]'), /JWK set/],
    [
      'ends too early',
      (res) => json(res, { 'content-length': 99 }).write('{', () => res.destroy()),
      /./,
    ],
    ['is no answer', (res) => res.destroy(), /./],
  ])('%s', async (_name, answer, why) => {
    server.answer = answer;
    await expect(fetchKeys()).rejects.toThrow(why);
  });

  test('leads elsewhere, where nobody asks', async () => {
    const elsewhere = await KeyServer.start();
    elsewhere.publish(['a']);
    for (const status of [301, 302, 303, 307, 308]) {
      server.answer = (res) => res.writeHead(status, { location: elsewhere.url }).end();
      await expect(fetchKeys()).rejects.toThrow(`status ${status}`);
    }
    expect(elsewhere.requests).toBe(0);
    await elsewhere.close();
  });

  test('is refused by its head, without waiting for the rest', async () => {
    let closed: Promise<unknown> = Promise.resolve();
    server.answer = (res) => {
      closed = once(res, 'close');
      res.writeHead(200, { 'content-type': 'text/html' }).write('<');
    };
    await expect(fetchKeys()).rejects.toThrow(/type/);
    await closed;
  });

  test('never ends, as soon as it is too large', async () => {
    let closed: Promise<unknown> = Promise.resolve();
    server.answer = (res) => {
      closed = once(res, 'close');
      const more = (): void => {
        while (!res.destroyed && res.write(' '.repeat(16_384)));
      };
      json(res).on('drain', more);
      more();
    };
    await expect(fetchKeys()).rejects.toThrow(/65536/);
    await closed;
  });

  test.each<[string, KeyAnswer]>([
    ['does not begin', () => undefined],
    ['does not go on', (res) => json(res).write('{"keys":')],
    [
      'trickles',
      (res) => {
        json(res);
        const timer = setInterval(() => res.write(' '), 20);
        res.on('close', () => clearInterval(timer));
      },
    ],
  ])('%s within its time', async (_name, answer) => {
    let closed: Promise<unknown> = Promise.resolve();
    server.answer = (res, req) => {
      closed = once(res, 'close');
      answer(res, req);
    };
    await expect(fetchKeys(server.url, 200)).rejects.toThrow(/within 200 ms/);
    await closed;
  });
});

describe('an address is refused that', () => {
  test.each([
    ['is no URL', 'keys', /not a URL/],
    ['is a file', 'file:///etc/passwd', /https/],
    ['is data', 'data:application/json,{}', /https/],
    ['is http to another machine', 'http://keys.example/', /https/],
    ['is http to what begins like here', 'http://127.0.0.1.example/', /https/],
    ['is http to what ends like here', 'http://x.localhost/', /https/],
    ['is http to every address of this machine', 'http://0.0.0.0/', /https/],
    ['holds a name', 'https://lab@keys.example/', /credentials/],
    ['holds a password', 'https://:secret@keys.example/', /credentials/],
  ])('%s', async (_name, url, why) => {
    const error: unknown = await fetchKeys(url).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(Error);
    expect((error as Error).message).toMatch(why);
    expect((error as Error).message).not.toContain('secret');
  });

  test('is http to the loopback interface, unless that is allowed', async () => {
    server.publish(['a']);
    const settings = { agent, withinMs: 5_000, now: Date.now() };
    await expect(
      fetchKeySet(server.url, { ...settings, allowInsecureLoopback: false }),
    ).rejects.toThrow(/https/);
    expect(server.requests).toBe(0);
  });
});

test('a certificate that nobody vouches for is refused before anything is asked', async (context) => {
  if (!hasOpenssl) return context.skip('the program openssl is not here');
  const folder = mkdtempSync(join(tmpdir(), 'sallyport-keys-'));
  const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
  const subject = '-subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1';
  const command = `req -x509 -newkey ed25519 -nodes -days 1 ${subject} -keyout ${key} -out ${cert}`;
  execFileSync('openssl', command.split(' '), { stdio: 'ignore' });
  let asked = false;
  const https = createServer({ cert: readFileSync(cert), key: readFileSync(key) }, (_req, res) => {
    asked = true;
    sendKeys(res, set);
  });
  https.listen(0, '127.0.0.1');
  await once(https, 'listening');
  // What would have Node trust everybody, if the connection did not say otherwise itself.
  vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0');
  const labKeys = new LabKeys({
    clock: () => 0,
    log: createLogger({ level: 'silent' }),
    allowInsecureLoopback: true,
  });
  try {
    const url = `https://127.0.0.1:${(https.address() as AddressInfo).port}/keys`;
    const identity = { issuer: 'https://lab.example', jwksUrl: url, setAt: 1 };
    await expect(labKeys.find('lab_1', identity, 'a')).rejects.toMatchObject({
      refusal: { code: 'lab_keys_unavailable' },
    });
    expect(asked).toBe(false);
    // The server itself is in order.
    await expect(fetchKeys(url)).resolves.toBeDefined();
  } finally {
    vi.unstubAllEnvs();
    await labKeys.close();
    https.close();
    rmSync(folder, { recursive: true, force: true });
  }
});
