/** Notices for tests of their delivery: written as the writer thread writes them, and received as others would. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { mintId } from '../../src/lib/ids.ts';
import type { NoticeChannel } from '../../src/core/notice-channels.ts';
import type { Notice, NoticeDraft } from '../../src/core/notices.ts';
import { DATABASE_FILE, openForWriting, withDrizzle } from '../../src/store/database.ts';
import { notify } from '../../src/store/notify.ts';
import { readMeta } from '../../src/store/records.ts';

/** A notice about an order, addressed to nobody yet. */
export const aDraft = (changes: Partial<NoticeDraft> = {}): NoticeDraft => ({
  kind: 'order.issued',
  ref: `ord_${'0'.repeat(26)}`,
  at: Date.now(),
  to: [],
  title: 'An order stops grt_1. See it with "sallyport order show".',
  data: { level: 4 },
  ...changes,
});

/** As it is handed to a channel. */
export const aNotice = (changes: Partial<Notice> = {}): Notice => ({
  id: mintId('ntc', Date.now()),
  at: Date.now(),
  kind: 'order.issued',
  ref: `ord_${'0'.repeat(26)}`,
  labId: `lab_${'0'.repeat(26)}`,
  personId: null,
  title: 'An order stops grt_1.',
  data: { level: 4 },
  ...changes,
});

/** Writes notices in one transaction, beside a broker that may be running on the data directory. */
export function writeNotices(
  dataDir: string,
  channels: readonly NoticeChannel[],
  ...drafts: NoticeDraft[]
): void {
  const connection = openForWriting(join(dataDir, DATABASE_FILE));
  connection.pragma('busy_timeout = 10000');
  try {
    const db = withDrizzle(connection);
    const host = readMeta(db, 'host_lab') ?? '';
    connection
      .transaction(() => {
        for (const draft of drafts) notify({ db, channels, host }, draft);
      })
      .immediate();
  } finally {
    connection.close();
  }
}

interface Received {
  headers: Record<string, string>;
  body: string;
}

/** A receiver of webhooks. */
export interface Receiver {
  url: string;
  received: Received[];
  /** How it answers from now on; at first with 204. */
  respond(answer: (req: IncomingMessage, res: ServerResponse) => void): void;
  /** Resolves when so many have come, this one answered or not. */
  count(n: number): Promise<void>;
  close(): Promise<void>;
}

export const answerWith =
  (status: number, headers: Record<string, string> = {}) =>
  (_req: IncomingMessage, res: ServerResponse): void => {
    res.writeHead(status, headers).end();
  };

/** @param port of a receiver that was closed, to be up again */
export async function startReceiver(port = 0): Promise<Receiver> {
  const received: Received[] = [];
  const watchers = new Set<() => void>();
  let respond: (req: IncomingMessage, res: ServerResponse) => void = answerWith(204);
  const server = createServer((req, res) => {
    let body = '';
    req.setEncoding('utf8').on('data', (text: string) => (body += text));
    req.on('end', () => {
      received.push({ headers: req.headers as Record<string, string>, body });
      respond(req, res);
      for (const look of watchers) look();
    });
  }).listen(port, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/notices`,
    received,
    respond: (answer) => (respond = answer),
    count: (n) =>
      new Promise((resolve) => {
        const look = (): void => {
          if (received.length < n) return;
          watchers.delete(look);
          resolve();
        };
        watchers.add(look);
        look();
      }),
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
