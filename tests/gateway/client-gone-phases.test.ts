/** The client goes away in every phase of a request, and by every way out. See also client-gone.test.ts. */
import { execFileSync, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer as createTcpServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { issueToken } from '../../src/broker/issue-token.ts';
import type { Grant } from '../../src/core/grants.ts';
import { parseTokenRequest } from '../../src/oauth/token-request.ts';
import { tokenForm } from '../support/people.ts';
import {
  HELLO,
  eventually,
  startRunningBroker,
  type Access,
  type RunningBroker,
} from '../support/running-broker.ts';
import { rawStream, streamRequest } from '../support/raw-stream.ts';
import { hold, openaiJson, type Handler } from '../support/scripted-upstream.ts';

let running: RunningBroker;
let access: Access;

beforeAll(async () => {
  running = await startRunningBroker();
});
afterEach(() => running.checkUpstream());
afterAll(() => running.close());

const one = { limits: { concurrent: 1 } };

/** One outcome as client_gone, paid for by an estimate or less than was reserved; and the place is free again. */
async function expectGone(broker: RunningBroker, { grant, openai }: Access): Promise<void> {
  const { data } = await broker.outcomeOf(grant);
  expect(data).toMatchObject({
    end: 'client_gone',
    usage: { source: 'estimated' },
    charged: { requests: 1 },
  });
  const [intent] = broker.entries({ kind: 'request.intent', grant: grant.id });
  expect(data?.charged?.tokens).toBeGreaterThan(0);
  expect(data?.charged?.tokens).toBeLessThan(intent?.data?.reserved?.tokens ?? 0);
  expect(broker.sums(grant)).toMatchObject({ requestsReserved: 0, tokensReserved: 0 });
  broker.upstream.respond(openaiJson());
  expect((await openai.chat.completions.create(HELLO)).object).toBe('chat.completion');
}

/** Sends the head of a stream and nothing more. */
const headOnly: Handler = async (_req, res) => {
  res.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
  await new Promise((resolve) => res.once('close', resolve));
};

/** Sends as much as is taken, and says when no more is. */
function endless(): Handler & { isHeldUp(): Promise<void> } {
  const event = `data: ${JSON.stringify({ choices: [{ delta: { content: 'x'.repeat(65_536) } }] })}\n\n`;
  let bytes = 0;
  const handler: Handler = async (_req, res) => {
    const gone = new AbortController();
    res.once('close', () => gone.abort());
    res.writeHead(200, { 'content-type': 'text/event-stream' });
    while (!gone.signal.aborted) {
      bytes += event.length;
      if (!res.write(event)) await once(res, 'drain', gone).catch(() => undefined);
    }
  };
  const isHeldUp = async (): Promise<void> => {
    let before = 0;
    await vi.waitFor(
      () => {
        const stands = bytes > 0 && bytes === before;
        before = bytes;
        if (!stands) throw new Error('it goes on');
      },
      { timeout: 5_000, interval: 100 },
    );
  };
  return Object.assign(handler, { isHeldUp });
}

describe('a client that leaves', () => {
  it('while its admission is recorded: nothing is forwarded, and nothing is charged', async () => {
    access = await running.access(one);
    const before = running.upstream.requests.length;
    const release = running.lockLog();
    const client = rawStream(running.url, streamRequest(access.token));
    await eventually(() => expect(running.test.broker.live.count).toBe(1));
    client.socket.destroy();
    await client.closed;
    release();
    const outcome = await running.outcomeOf(access.grant);
    expect(outcome.data).toMatchObject({
      end: 'not_forwarded',
      charged: { requests: 0, tokens: 0, spendNanoUsd: 0 },
    });
    expect(running.upstream.requests.length).toBe(before);
    await eventually(() => expect(running.test.broker.live.count).toBe(0));
    running.upstream.respond(openaiJson());
    await access.openai.chat.completions.create(HELLO);
  });

  it('between the head and the first event', async () => {
    access = await running.access(one);
    const index = running.upstream.requests.length;
    running.upstream.respond(headOnly);
    const client = rawStream(running.url, streamRequest(access.token));
    await client.has('200 OK');
    client.socket.destroy();
    await running.upstream.waitForAbort(index);
    expect(client.text()).not.toContain('data: ');
    await expectGone(running, access);
  });

  it('by closing its side alone, as a process does that dies', async () => {
    access = await running.access(one);
    const index = running.upstream.requests.length;
    running.upstream.respond(hold());
    const client = rawStream(running.url, streamRequest(access.token));
    await client.has('data: ');
    client.socket.end();
    await running.upstream.waitForAbort(index);
    await client.closed;
    expect(client.text()).not.toContain('[DONE]');
    await expectGone(running, access);
  });

  it('by closing its side alone, without reading what waits for it', async () => {
    access = await running.access(one);
    const index = running.upstream.requests.length;
    const upstream = endless();
    running.upstream.respond(upstream);
    const client = rawStream(running.url, streamRequest(access.token));
    await client.has('data: ');
    client.socket.pause();
    await upstream.isHeldUp();
    client.socket.end();
    await running.upstream.waitForAbort(index);
    expect((await running.outcomeOf(access.grant)).data).toMatchObject({ end: 'client_gone' });
    client.socket.destroy();
  });

  it('while the outcome is recorded: the upstream had ended, and what it reported counts', async () => {
    access = await running.access(one);
    const held = hold();
    running.upstream.respond(held);
    const client = rawStream(running.url, streamRequest(access.token));
    await client.has('data: ');
    const release = running.lockLog();
    held.release();
    await client.has('"finish_reason":"stop"');
    client.socket.destroy();
    await client.closed;
    release();
    expect(client.text()).not.toContain('[DONE]');
    expect((await running.outcomeOf(access.grant)).data).toMatchObject({
      end: 'completed',
      usage: { inputTokens: 11, outputTokens: 7, source: 'reported' },
    });
    await eventually(() => expect(running.test.broker.live.count).toBe(0));
    running.upstream.respond(openaiJson());
    await access.openai.chat.completions.create(HELLO);
  });

  it('with a request that waits in a pipeline behind a stream: both end', async () => {
    access = await running.access({ limits: { concurrent: 2 } });
    const index = running.upstream.requests.length;
    running.upstream.respond(hold());
    const client = rawStream(running.url, streamRequest(access.token).repeat(2));
    await client.has('data: ');
    await eventually(() => expect(running.upstream.requests.length).toBe(index + 2));
    client.socket.end();
    await Promise.all([index, index + 1].map((i) => running.upstream.waitForAbort(i)));
    await eventually(() =>
      expect(
        running
          .entries({ kind: 'request.outcome', grant: access.grant.id })
          .map(({ data }) => data?.end),
      ).toEqual(['client_gone', 'client_gone']),
    );
    expect(running.sums(access.grant)).toMatchObject({ requestsReserved: 0, tokensReserved: 0 });
  });
});

const hasOpenssl = spawnSync('openssl', ['version']).status === 0;
// oxlint-disable-next-line no-console -- whoever reads the results must know
if (!hasOpenssl) console.warn('SKIPPED: the tests of TLS need the program openssl.');

describe.skipIf(!hasOpenssl)('a client that leaves a TLS connection', () => {
  let folder: string;
  let secure: RunningBroker;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'sallyport-tls-'));
    const tls = { certFile: join(folder, 'cert.pem'), keyFile: join(folder, 'key.pem') };
    execFileSync(
      'openssl',
      `req -x509 -newkey ed25519 -nodes -days 1 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1 -keyout ${tls.keyFile} -out ${tls.certFile}`.split(
        ' ',
      ),
      { stdio: 'ignore' },
    );
    const port = await freePort();
    const publicUrl = `https://127.0.0.1:${port}`;
    secure = await startRunningBroker({ server: { port, tls, publicUrl } });
  });
  afterAll(async () => {
    await secure.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it.each(['with a farewell', 'without one'] as const)('%s', async (how) => {
    const grant = await secure.grant();
    const index = secure.upstream.requests.length;
    secure.upstream.respond(hold());
    const client = rawStream(secure.url, streamRequest(await tokenOf(secure, grant)));
    await client.has('data: ');
    if (how === 'with a farewell') client.socket.end();
    else client.socket.destroy();
    await secure.upstream.waitForAbort(index);
    expect((await secure.outcomeOf(grant)).data).toMatchObject({
      end: 'client_gone',
      usage: { source: 'estimated' },
    });
  });
});

/** Without the token endpoint: its clients would not trust the certificate. */
async function tokenOf({ test, people }: RunningBroker, grant: Grant): Promise<string> {
  const wanted = { grant: grant.id, purpose: 'hallucination', run: 'test' } as const;
  const form = new URLSearchParams(await tokenForm(test, people.researcher, wanted));
  const asked = { proofs: [], method: 'POST', url: `${test.url}/oauth/token` };
  return (await issueToken(test.broker, parseTokenRequest(form), asked)).token;
}

/** The public URL must be known before the broker listens. */
async function freePort(): Promise<number> {
  const server = createTcpServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
