/** A syslog server over TLS (RFC 5425) for tests: takes frames apart, and can be told to be deaf. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer, type TLSSocket } from 'node:tls';
import type { Pair } from './certificates.ts';

export interface SyslogServer {
  port: number;
  /** Whole messages, in the order in which they came. */
  messages: string[];
  connections: number;
  /** Whether it reads nothing from now on. */
  deaf(isDeaf: boolean): void;
  /** Hangs up after so many bytes of a connection, once. */
  hangUpAfter(bytes: number): void;
  /** Resolves when so many messages have come. */
  count(n: number): Promise<void>;
  close(): Promise<void>;
}

/** @param options.ca where clients need a certificate of this authority */
export async function startSyslogServer(
  { certFile, keyFile }: Pair,
  options: { port?: number; caFile?: string } = {},
): Promise<SyslogServer> {
  const { port = 0, caFile } = options;
  const messages: string[] = [];
  const sockets = new Set<TLSSocket>();
  const watchers = new Set<() => void>();
  let isDeaf = false;
  let cut: number | undefined;
  const state = { connections: 0 };
  const server = createServer(
    {
      cert: readFileSync(certFile),
      key: readFileSync(keyFile),
      ...(caFile === undefined
        ? {}
        : { ca: readFileSync(caFile), requestCert: true, rejectUnauthorized: true }),
    },
    (socket) => {
      state.connections += 1;
      sockets.add(socket);
      socket.on('close', () => sockets.delete(socket)).on('error', () => undefined);
      if (isDeaf) {
        socket.pause();
        return;
      }
      let rest = Buffer.alloc(0);
      let taken = 0;
      socket.on('data', (chunk: Buffer) => {
        taken += chunk.length;
        if (cut !== undefined && taken >= cut) {
          cut = undefined;
          socket.destroy();
          return;
        }
        rest = Buffer.concat([rest, chunk]);
        for (;;) {
          const [, length = ''] = /^(\d+) /.exec(rest.toString('latin1', 0, 12)) ?? [];
          const start = length.length + 1;
          if (length === '' || rest.length < start + Number(length)) break;
          messages.push(rest.toString('utf8', start, start + Number(length)));
          rest = rest.subarray(start + Number(length));
        }
        for (const look of watchers) look();
      });
    },
  ).listen(port, '127.0.0.1');
  server.on('tlsClientError', () => undefined);
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    messages,
    get connections() {
      return state.connections;
    },
    deaf: (is) => (isDeaf = is),
    hangUpAfter: (bytes) => (cut = bytes),
    count: (n) =>
      new Promise((resolve) => {
        const look = (): void => {
          if (messages.length < n) return;
          watchers.delete(look);
          resolve();
        };
        watchers.add(look);
        look();
      }),
    close: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
