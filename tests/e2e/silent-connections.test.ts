import { execFileSync, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseConfig } from '../../src/config/load.ts';
import { listen, type Listener } from '../../src/listener.ts';

const hasOpenssl = spawnSync('openssl', ['version']).status === 0;
// oxlint-disable-next-line no-console -- whoever reads the results must know
if (!hasOpenssl) console.warn('SKIPPED: the tests of TLS need the program openssl.');

let folder: string;
let tls: { certFile: string; keyFile: string };

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sallyport-tls-'));
  tls = { certFile: join(folder, 'cert.pem'), keyFile: join(folder, 'key.pem') };
  if (!hasOpenssl) return;
  execFileSync(
    'openssl',
    `req -x509 -newkey ed25519 -nodes -days 1 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1 -keyout ${tls.keyFile} -out ${tls.certFile}`.split(
      ' ',
    ),
    { stdio: 'ignore' },
  );
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function open(isTls: boolean): Promise<{ listener: Listener; port: number }> {
  const parts = isTls ? { tls, publicUrl: 'https://127.0.0.1:8443' } : {};
  const { server } = parseConfig({ server: { port: 0, ...parts } }, 'of a test');
  const listener = await listen(server, () => undefined);
  return { listener, port: Number(new URL(listener.url).port) };
}

async function silent(port: number): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port });
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  return socket;
}

test.each(hasOpenssl ? [false, true] : [false])(
  'a connection that never says anything does not hold up a stop (TLS: %s)',
  async (isTls) => {
    const { listener, port } = await open(isTls);
    const socket = await silent(port);
    const closed = once(socket, 'close');
    await listener.drain();
    await closed;
    expect(socket.destroyed).toBe(true);
  },
);

test('a request that waits behind another in a pipeline is answered before the stop', async () => {
  const { listener, port } = await open(false);
  const answers: (() => void)[] = [];
  listener.serve((_req, res) => void answers.push(() => res.end('answer')));
  const socket = await silent(port);
  let text = '';
  socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
  socket.write('GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n');
  await expect.poll(() => answers.length).toBe(2);
  const drained = listener.drain();
  answers[0]?.();
  await expect.poll(() => text).toContain('answer');
  // Longer than the pause between two looks for idle connections.
  await new Promise((resolve) => setTimeout(resolve, 150));
  answers[1]?.();
  await expect.poll(() => text.split('answer').length).toBe(3);
  await drained;
});

test.skipIf(!hasOpenssl)(
  'TLS 1.2 or newer is spoken with the certificate of the configuration',
  async () => {
    const { listener, port } = await open(true);
    listener.serve((_req, res) => void res.end('over TLS'));
    const socket = connectTls({ host: '127.0.0.1', port, rejectUnauthorized: false });
    await once(socket, 'secureConnect');
    socket.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    let text = '';
    socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
    await once(socket, 'close');
    expect(text).toContain('over TLS');
    await listener.drain();
  },
);
