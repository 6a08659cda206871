/** Webhooks as their receivers see them: checked with the library that Standard Webhooks gives receivers. */
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Webhook as Verifier } from 'standardwebhooks';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Attempt } from '../../src/core/deliveries.ts';
import { Webhook } from '../../src/notices/webhook.ts';
import { aNotice, answerWith, startReceiver, type Receiver } from '../support/notices.ts';

const newSecret = (): string => `whsec_${randomBytes(32).toString('base64')}`;

let receiver: Receiver;
let folder: string;
let secretFile: string;
let webhook: Webhook | undefined;
beforeEach(async () => {
  receiver = await startReceiver();
  folder = mkdtempSync(join(tmpdir(), 'sallyport-webhook-'));
  secretFile = join(folder, 'secret');
});
afterEach(async () => {
  webhook?.close();
  await receiver.close();
  rmSync(folder, { recursive: true, force: true });
});

const writeSecret = (text: string): void => writeFileSync(secretFile, text, { mode: 0o600 });

function send(notice = aNotice(), signal = new AbortController().signal): Promise<Attempt> {
  webhook ??= new Webhook({ id: 'pager', url: receiver.url, secret: `file:${secretFile}` });
  return webhook.deliver({ notice, at: Date.now(), broker: 'https://sallyport.example' }, signal);
}

describe('what is sent', () => {
  it('verifies with the secret, and says what the notice says', async () => {
    const secret = newSecret();
    writeSecret(secret);
    webhook = undefined;
    const notice = aNotice({ title: 'Zoë’s grant “γ” ended.' });
    expect(await send(notice)).toEqual({ delivered: true });
    const [{ headers, body } = { headers: {}, body: '' }] = receiver.received;
    expect(new Verifier(secret).verify(body, headers)).toEqual({
      type: 'order.issued',
      timestamp: new Date(notice.at).toISOString(),
      data: {
        notice: notice.id,
        broker: 'https://sallyport.example',
        ref: notice.ref,
        lab: notice.labId,
        person: null,
        title: 'Zoë’s grant “γ” ended.',
        details: { level: 4 },
      },
    });
    expect(headers['webhook-id']).toBe(notice.id);
    expect(() => new Verifier(newSecret()).verify(body, headers)).toThrow('signature');
    expect(() => new Verifier(secret).verify(`${body} `, headers)).toThrow('signature');
  });

  it('verifies with either secret while it is replaced, without a restart', async () => {
    const [before, after] = [newSecret(), newSecret()];
    writeSecret(before);
    webhook = undefined;
    await send();
    writeSecret(`${after}\n${before}\n`);
    await send();
    writeSecret(after);
    await send();
    const verifies = (secret: string): boolean[] =>
      receiver.received.map(({ body, headers }) => {
        try {
          new Verifier(secret).verify(body, headers);
          return true;
        } catch {
          return false;
        }
      });
    expect(verifies(before)).toEqual([true, true, false]);
    expect(verifies(after)).toEqual([false, true, true]);
  });
});

describe('what the receiver answers', () => {
  beforeEach(() => {
    writeSecret(newSecret());
    webhook = undefined;
  });

  it.each([200, 201, 202, 204, 299])('%i: delivered', async (status) => {
    receiver.respond(answerWith(status));
    expect(await send()).toEqual({ delivered: true });
  });

  it.each([400, 404, 500, 503])('%i: tried again', async (status) => {
    receiver.respond(answerWith(status));
    expect(await send()).toMatchObject({ delivered: false, failure: 'refused', status });
  });

  it('429 with Retry-After: not before that', async () => {
    receiver.respond(answerWith(429, { 'retry-after': '120' }));
    expect(await send()).toMatchObject({ status: 429, retryAfterMs: 120_000 });
  });

  it('410: given up at once', async () => {
    receiver.respond(answerWith(410));
    expect(await send()).toMatchObject({ failure: 'gone', status: 410, isFinal: true });
  });

  it('a redirect is a failure, and is not followed', async () => {
    const elsewhere = await startReceiver();
    receiver.respond(answerWith(307, { location: elsewhere.url }));
    expect(await send()).toMatchObject({ delivered: false, failure: 'refused', status: 307 });
    expect(elsewhere.received).toEqual([]);
    await elsewhere.close();
  });

  it('an answer without end is not read', async () => {
    let written = 0;
    const closed = new Promise<void>((resolve) => {
      receiver.respond((_req, res) => {
        res.writeHead(200);
        const more = (): void => {
          while (!res.destroyed && res.write(Buffer.alloc(65_536))) written += 65_536;
        };
        res
          .on('drain', more)
          .on('close', resolve)
          .on('error', () => undefined);
        more();
      });
    });
    expect(await send()).toEqual({ delivered: true });
    await closed;
    expect(written).toBeLessThan(16_777_216);
  });

  it('nobody there, or somebody who speaks no HTTP: unreachable', async () => {
    const server = createServer((socket) =>
      socket.resume().end('220 mail.example ESMTP\r\n'),
    ).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const url = `http://127.0.0.1:${port}/`;
    webhook = new Webhook({ id: 'pager', url, secret: `file:${secretFile}` });
    expect(await send()).toEqual({ delivered: false, failure: 'unreachable' });
    server.close();
    await once(server, 'close');
    expect(await send()).toEqual({ delivered: false, failure: 'unreachable' });
  });

  it('an attempt that is abandoned ends at once, and its connection with it', async () => {
    const gone = new Promise<void>((resolve) =>
      receiver.respond((_req, res) => void res.on('close', resolve)),
    );
    const stop = new AbortController();
    const sent = send(aNotice(), stop.signal);
    await receiver.count(1);
    stop.abort();
    expect(await sent).toMatchObject({ delivered: false });
    await gone;
  });
});

describe('its secret', () => {
  const complaint = (text: string): string => {
    writeSecret(text);
    try {
      webhook = new Webhook({ id: 'pager', url: receiver.url, secret: `file:${secretFile}` });
      return '';
    } catch (error) {
      return String(error);
    }
  };

  it.each([
    ['something else', 'hunter2hunter2hunter2hunter2hunter2'],
    ['too short', `whsec_${Buffer.alloc(16).toString('base64')}`],
    ['too long', `whsec_${Buffer.alloc(65).toString('base64')}`],
    ['not base64', 'whsec_hunter2hunter2-hunter2hunter2hunter2hunter2'],
  ])('that is %s is refused at the start, and not quoted', (_what, text) => {
    expect(complaint(text)).toContain('openssl rand -base64 32');
    expect(complaint(text)).not.toContain('hunter2');
  });

  it('that others can read is refused', () => {
    writeSecret(newSecret());
    chmodSync(secretFile, 0o640);
    const make = () =>
      new Webhook({ id: 'pager', url: receiver.url, secret: `file:${secretFile}` });
    expect(make).toThrow(`Run "chmod 600 ${secretFile}"`);
  });

  it('that is gone later costs an attempt, and nothing is sent unsigned', async () => {
    writeSecret(newSecret());
    webhook = new Webhook({ id: 'pager', url: receiver.url, secret: `file:${secretFile}` });
    rmSync(secretFile);
    expect(await send()).toEqual({ delivered: false, failure: 'secret_unusable' });
    expect(receiver.received).toEqual([]);
  });
});
