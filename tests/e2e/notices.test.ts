/** Notices of a real broker process: `kill -9` between the commit and the delivery, and TLS as operators set it up. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { SMTPServer } from 'smtp-server';
import { Webhook as Verifier } from 'standardwebhooks';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Authority, hasOpenssl } from '../support/certificates.ts';
import { cleanUp, newDirectory, startServe } from '../support/broker-process.ts';
import {
  aDraft,
  answerWith,
  startReceiver,
  writeNotices,
  type Receiver,
} from '../support/notices.ts';
import { makePeople } from '../support/people.ts';
import { startTestBroker } from '../support/test-broker.ts';

let folder: string;
let dataDir: string;
let hostLab: string;
const secret = `whsec_${randomBytes(32).toString('base64')}`;
let receiver: Receiver;

beforeEach(async () => {
  folder = newDirectory();
  dataDir = join(folder, 'data');
  writeFileSync(join(folder, 'secret'), secret, { mode: 0o600 });
  receiver = await startReceiver();
  const broker = await startTestBroker({ dataDir });
  hostLab = (await makePeople(broker)).host.id;
  await broker.close();
});
afterEach(async () => {
  await cleanUp();
  await receiver.close();
});

/** Paths of secrets are taken from the folder of the file. */
function configWith(notices: object): string {
  const path = join(folder, 'sallyport.yaml');
  const config = {
    server: { port: 0, shutdownSeconds: 1 },
    dataDir,
    log: { origin: 'test.example/log' },
    notices,
  };
  writeFileSync(path, JSON.stringify(config));
  return path;
}

const webhook = () => ({ id: 'pager', url: receiver.url, secret: 'file:secret' });
const write = (title: string): void =>
  writeNotices(
    dataDir,
    [{ id: 'pager' }, { id: 'mail' }],
    aDraft({ title, to: [{ labId: hostLab }] }),
  );

test('a kill between the commit of a notice and its delivery loses nothing, whenever it comes', async () => {
  const config = configWith({ webhooks: [webhook()], allowInsecureLoopback: true });
  receiver.respond(() => undefined);

  // Before the first attempt.
  const first = await startServe(config);
  write('before an attempt');
  await first.process.end('SIGKILL');
  // During an attempt, which the receiver has read but not answered.
  const second = await startServe(config);
  await receiver.count(1);
  await second.process.end('SIGKILL');
  // Once more, with another one behind it.
  const third = await startServe(config);
  write('while it hangs');
  await receiver.count(3);
  await third.process.end('SIGKILL');

  receiver.respond(answerWith(200));
  const had = receiver.received.length;
  const last = await startServe(config);
  await receiver.count(had + 2);
  expect(await last.process.end('SIGTERM')).toEqual({ code: 0, signal: null });
  const titles = receiver.received.slice(had).map(({ body, headers }) => {
    const payload = new Verifier(secret).verify(body, headers) as { data: { title: string } };
    return payload.data.title;
  });
  expect(titles.toSorted()).toEqual(['before an attempt', 'while it hangs']);
  // However often it was sent, it is one notice to its receiver.
  const ids = receiver.received.map(({ headers }) => headers['webhook-id']);
  expect(new Set(ids).size).toBe(2);

  // Delivered is delivered: a start sends nothing again.
  const again = await startServe(config);
  write('the last one');
  await receiver.count(had + 3);
  await again.process.end('SIGTERM');
  expect(receiver.received).toHaveLength(had + 3);
});

test.runIf(hasOpenssl)(
  'goes out over TLS to a webhook and a mail server whose certificates are good',
  async () => {
    const authority = new Authority(folder, 'ca');
    const pair = authority.issue('receiver');
    const tls = { cert: readFileSync(pair.certFile), key: readFileSync(pair.keyFile) };
    const server = createServer(tls).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const posted = new Promise<string>((resolve) => {
      server.on('request', (req, res) => {
        let body = '';
        req.setEncoding('utf8').on('data', (text: string) => (body += text));
        req.on('end', () => {
          res.writeHead(204).end();
          resolve(body);
        });
      });
    });
    let gotMail: (mail: { text: string; secure: boolean }) => void = () => undefined;
    const mailed = new Promise<{ text: string; secure: boolean }>((resolve) => (gotMail = resolve));
    const mail = new SMTPServer({
      ...tls,
      secure: true,
      authOptional: true,
      onData(stream, session, done) {
        let text = '';
        stream.setEncoding('utf8').on('data', (part: string) => (text += part));
        stream.on('end', () => {
          done();
          gotMail({ text, secure: session.secure });
        });
      },
    });
    await new Promise<void>((resolve) => void mail.listen(0, '127.0.0.1', () => resolve()));
    const portOf = (listening: { address(): unknown }): number =>
      (listening.address() as AddressInfo).port;
    const config = configWith({
      webhooks: [{ ...webhook(), url: `https://127.0.0.1:${portOf(server)}/hook` }],
      email: {
        smtp: { host: '127.0.0.1', port: portOf(mail.server), secure: true },
        from: 'sallyport@lab.example',
        to: [{ id: 'mail', address: 'safety@lab.example' }],
      },
    });
    const broker = await startServe(config, { env: { NODE_EXTRA_CA_CERTS: authority.caFile } });
    write('over TLS');
    expect(JSON.parse(await posted)).toMatchObject({ data: { title: 'over TLS' } });
    expect(await mailed).toMatchObject({
      secure: true,
      text: expect.stringContaining('over TLS') as string,
    });
    expect(await broker.process.end('SIGTERM')).toEqual({ code: 0, signal: null });
    server.close();
    mail.close();
  },
);
