/** Mails as a real mail server gets them. */
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SMTPServer, type SMTPServerOptions } from 'smtp-server';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Attempt } from '../../src/core/deliveries.ts';
import type { SmtpSettings } from '../../src/core/notice-channels.ts';
import type { Notice } from '../../src/core/notices.ts';
import { Email } from '../../src/notices/email.ts';
import { Authority, hasOpenssl } from '../support/certificates.ts';
import { aNotice } from '../support/notices.ts';

interface Mail {
  from: string;
  to: string[];
  text: string;
  user: string | undefined;
}

const FROM = 'sallyport@lab.example';
const TO = 'safety@lab.example';

let mails: Mail[];
let server: SMTPServer | undefined;
let folder: string;
beforeEach(() => {
  mails = [];
  folder = mkdtempSync(join(tmpdir(), 'sallyport-email-'));
});
afterEach(async () => {
  rmSync(folder, { recursive: true, force: true });
  const closing = server;
  server = undefined;
  if (closing) await new Promise<void>((resolve) => closing.close(resolve));
});

async function startMailServer(
  options: SMTPServerOptions = {},
  address = '127.0.0.1',
): Promise<SmtpSettings> {
  server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS'],
    allowInsecureAuth: true,
    closeTimeout: 100,
    onData(stream, session, done) {
      let text = '';
      stream.setEncoding('utf8').on('data', (part: string) => (text += part));
      stream.on('end', () => {
        const { mailFrom, rcptTo } = session.envelope;
        mails.push({
          from: mailFrom ? mailFrom.address : '',
          to: rcptTo.map((one) => one.address),
          text,
          user: session.user as string | undefined,
        });
        done();
      });
    },
    ...options,
  });
  server.on('error', () => undefined);
  server.listen(0, address);
  await once(server.server, 'listening');
  const { port } = server.server.address() as AddressInfo;
  return { host: address, port, secure: false };
}

function send(
  smtp: SmtpSettings,
  changes: Partial<Notice> = {},
  signal = new AbortController().signal,
): Promise<Attempt> {
  const outgoing = { notice: aNotice(changes), at: Date.now(), broker: 'https://broker.example' };
  return new Email({ smtp, from: FROM, to: TO }).deliver(outgoing, signal);
}

/** Headers by name in lower case, each as often as it is there. */
function headersOf({ text }: Mail): Record<string, string[]> {
  const [head = ''] = text.split('\r\n\r\n');
  const found: Record<string, string[]> = {};
  for (const line of head.replaceAll(/\r\n[ \t]+/g, ' ').split('\r\n')) {
    const at = line.indexOf(':');
    (found[line.slice(0, at).toLowerCase()] ??= []).push(line.slice(at + 1).trim());
  }
  return found;
}

const only = (): Mail => {
  expect(mails).toHaveLength(1);
  return mails[0] as Mail;
};

describe('a mail', () => {
  it('is plain text, to the configured address, and says what happened and what to do', async () => {
    const notice = aNotice({ title: 'An order stops grt_1.' });
    expect(await send(await startMailServer(), notice)).toEqual({ delivered: true });
    const mail = only();
    expect(mail).toMatchObject({ from: FROM, to: [TO] });
    expect(headersOf(mail)).toMatchObject({
      subject: ['[Sallyport] order.issued: An order stops grt_1.'],
      'message-id': [`<${notice.id}@lab.example>`],
      'auto-submitted': ['auto-generated'],
      'content-type': ['text/plain; charset=utf-8'],
    });
    expect(mail.text).toContain(`sallyport notice ack ${notice.id}`);
  });

  it.each([
    'Grant of Mallory\r\nBcc: everybody@lab.example',
    'Grant of Mallory\nTo: everybody@lab.example\n\nSend us your key.',
    'Grant of Mallory\u2028Bcc: everybody@lab.example\u0000\u202e',
    'x\r\n.\r\nMAIL FROM:<evil@lab.example>\r\nRCPT TO:<everybody@lab.example>\r\n',
    '=?utf-8?q?=0d=0aBcc:_everybody@lab.example?=',
  ])('has one recipient and no header but its own, whatever the title: %j', async (title) => {
    expect(await send(await startMailServer(), { title, ref: title })).toEqual({
      delivered: true,
    });
    const mail = only();
    expect(mail.to).toEqual([TO]);
    const headers = headersOf(mail);
    expect(Object.keys(headers).toSorted()).toEqual([
      'auto-submitted',
      'content-transfer-encoding',
      'content-type',
      'date',
      'from',
      'message-id',
      'mime-version',
      'subject',
      'to',
    ]);
    expect(headers['to']).toEqual([TO]);
    for (const all of Object.values(headers)) expect(all).toHaveLength(1);
  });

  it('logs in where the configuration says so', async () => {
    const file = join(folder, 'password');
    writeFileSync(file, 'a password\n', { mode: 0o600 });
    const smtp = await startMailServer({
      authOptional: false,
      onAuth: ({ username, password }, _session, done) =>
        password === 'a password'
          ? done(null, { user: username })
          : done(new Error(`no: ${password}`)),
    });
    const settings = { ...smtp, user: 'broker', password: `file:${file}` };
    expect(await send(settings)).toEqual({ delivered: true });
    expect(only().user).toBe('broker');
    writeFileSync(file, 'another one');
    const refused = await send(settings);
    expect(refused).toMatchObject({ failure: 'login_failed', status: 535 });
    // A server can say it back.
    expect(JSON.stringify(refused)).not.toContain('another one');
    expect(mails).toHaveLength(1);
  });
});

describe('a mail server', () => {
  it('that says 4yz is asked again; one that says 5yz to the address is not', async () => {
    const refusal = (code: number) =>
      Object.assign(new Error('not for this address'), { responseCode: code });
    let code = 451;
    const smtp = await startMailServer({
      onRcptTo: (_address, _session, done) => done(refusal(code)),
    });
    expect(await send(smtp)).toMatchObject({ failure: 'refused', status: 451, isFinal: false });
    code = 550;
    expect(await send(smtp)).toMatchObject({ failure: 'rejected', status: 550, isFinal: true });
  });

  it('that is elsewhere and does no TLS gets neither mail nor password', async () => {
    process.env['TEST_SMTP_PASSWORD'] = 'a password';
    let asked = false;
    // Not loopback by its address, though it is this machine.
    const smtp = await startMailServer(
      {
        onAuth: (_auth, _session, done) => {
          asked = true;
          done(null, { user: 'broker' });
        },
      },
      '0.0.0.0',
    );
    const attempt = await send({ ...smtp, user: 'broker', password: 'env:TEST_SMTP_PASSWORD' });
    expect(attempt).toMatchObject({ delivered: false });
    expect(asked).toBe(false);
    expect(mails).toEqual([]);
  });

  it.runIf(hasOpenssl).each([{ secure: false }, { secure: true }])(
    'that shows a certificate of nobody known gets no mail (secure: $secure)',
    async ({ secure }) => {
      const { certFile, keyFile } = new Authority(folder, 'ca').issue('mail', 'IP:0.0.0.0');
      const tls = { cert: readFileSync(certFile), key: readFileSync(keyFile) };
      const smtp = await startMailServer({ ...tls, disabledCommands: [], secure }, '0.0.0.0');
      expect(await send({ ...smtp, secure })).toMatchObject({
        delivered: false,
        failure: 'unreachable',
      });
      expect(mails).toEqual([]);
    },
  );

  it('that says nothing is left when the attempt is abandoned', async () => {
    const silent: Server = createServer().listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const { port } = silent.address() as AddressInfo;
    const connected = once(silent, 'connection') as Promise<[import('node:net').Socket]>;
    const stop = new AbortController();
    const sent = send({ host: '127.0.0.1', port, secure: false }, {}, stop.signal);
    const [socket] = await connected;
    const left = once(socket.resume(), 'close');
    stop.abort();
    expect(await sent).toMatchObject({ delivered: false });
    await left;
    silent.close();
  });

  it('that is not there, or whose password is gone, costs an attempt', async () => {
    const smtp = { host: '127.0.0.1', port: 1, secure: false };
    expect(await send(smtp)).toEqual({ delivered: false, failure: 'unreachable' });
    const file = join(folder, 'gone');
    writeFileSync(file, 'x', { mode: 0o600 });
    const email = new Email({
      smtp: { ...smtp, user: 'a', password: `file:${file}` },
      from: FROM,
      to: TO,
    });
    rmSync(file);
    const outgoing = { notice: aNotice(), at: Date.now(), broker: 'https://broker.example' };
    expect(await email.deliver(outgoing, new AbortController().signal)).toEqual({
      delivered: false,
      failure: 'secret_unusable',
    });
  });
});
