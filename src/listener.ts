/** The listening socket: what comes in before anybody has looked at it, and how it is drained. */
import {
  STATUS_CODES,
  createServer as createHttpServer,
  type RequestListener,
  type Server,
} from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { readFileSync } from 'node:fs';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Config } from './config/schema.ts';
import { DENIALS, refusal, type DenialCode } from './core/denials.ts';
import { errorBody } from './gateway/error-body.ts';
import { mintId } from './lib/ids.ts';

/** Larger headers are refused before they are looked at. */
const MAX_HEADER_BYTES = 32 * 1024;

/** Connections that became idle while the server drains are closed this often. */
const DRAIN_EVERY_MS = 50;

export interface Listener {
  /** The address it listens on, as a URL. */
  url: string;
  /** Sets who answers. Until then everything is told to come back. */
  serve(handle: RequestListener): void;
  /** Takes no new connections, and resolves when the last one has ended. */
  drain(): Promise<void>;
  /** Hangs up on everybody. */
  hangUp(): void;
}

/**
 * Listens.
 *
 * @param onBroken told of requests that were not HTTP, or too large, to begin with
 * @throws with a sentence that says what to do
 */
export async function listen(
  config: Config['server'],
  onBroken: (code: DenialCode) => void,
): Promise<Listener> {
  const server = createServer(config);
  let draining = false;
  let handle: RequestListener = (_req, res) => res.writeHead(503, { 'retry-after': '1' }).end();
  const sockets = trackSockets(server);
  server.on('request', (req, res) => {
    if (draining) res.setHeader('connection', 'close');
    handle(req, res);
  });
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    const code = error.code === 'HPE_HEADER_OVERFLOW' ? 'headers_too_large' : 'invalid_request';
    if (error.code !== 'ECONNRESET') onBroken(code);
    answerBroken(socket, code);
  });
  await bind(server, config, 'server.port; for the demo: --port');
  return {
    url: urlOf(server, config.tls !== undefined),
    serve: (listener) => (handle = listener),
    drain: () => {
      draining = true;
      const timer = setInterval(() => {
        sockets.destroyUnused();
        server.closeIdleConnections();
      }, DRAIN_EVERY_MS);
      return new Promise((resolve) =>
        server.close(() => {
          clearInterval(timer);
          resolve();
        }),
      );
    },
    hangUp: () => {
      sockets.destroyUnused();
      server.closeAllConnections();
    },
  };
}

/**
 * Follows sockets until their first request: what never sends one, or never ends its TLS handshake, is not
 * among the idle connections that Node closes, and must not hold up the end.
 */
function trackSockets(server: Server): { destroyUnused(): void } {
  const unused = new Map<string, Socket>();
  const peerOf = (socket: Socket): string => `${socket.remoteAddress} ${socket.remotePort}`;
  const follow = (socket: Socket): void => {
    const peer = peerOf(socket);
    // A pipeline has a listener for each request that waits in it.
    socket.setMaxListeners(0);
    unused.set(peer, socket);
    socket.once('close', () => {
      if (unused.get(peer) === socket) unused.delete(peer);
    });
  };
  server.on('connection', follow);
  // With TLS, the secure socket takes the place of the raw one: it has the same peer.
  server.on('secureConnection', follow);
  server.on('request', ({ socket }) => {
    if (unused.size > 0) unused.delete(peerOf(socket));
  });
  return {
    destroyUnused() {
      for (const socket of unused.values()) socket.destroy();
    },
  };
}

function createServer({ tls }: Config['server']): Server {
  const options = { maxHeaderSize: MAX_HEADER_BYTES, noDelay: true, keepAlive: true };
  if (!tls) return createHttpServer(options);
  const [cert, key] = [readFileSync(tls.certFile), readFileSync(tls.keyFile)];
  return createHttpsServer({ ...options, cert, key, minVersion: 'TLSv1.2' });
}

/**
 * Binds a server to its address.
 *
 * @param option what of the configuration says the port
 * @throws with a sentence that says what to do
 */
export function bind(
  server: Server,
  { host, port }: { host: string; port: number },
  option: string,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (error: NodeJS.ErrnoException): void => {
      const sentence =
        error.code === 'EADDRINUSE'
          ? `Port ${port} of ${host} is in use. Stop what runs there, or choose another (${option}).`
          : `Cannot listen on ${host}:${port}: ${error.message}.`;
      reject(new Error(sentence, { cause: error }));
    };
    server.once('error', fail);
    server.listen(port, host, () => {
      server.off('error', fail);
      resolve();
    });
  });
}

/** The address that a server listens on, as a URL. */
export function urlOf(server: Server, isTls: boolean): string {
  const { address, family, port } = server.address() as AddressInfo;
  return `${isTls ? 'https' : 'http'}://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
}

/** There is no request to answer to yet, so the answer is written to the socket itself. */
function answerBroken(socket: Duplex, code: DenialCode): void {
  if (!socket.writable) return void socket.destroy();
  const { status } = DENIALS[code];
  const requestId = mintId('req', Date.now());
  const body = JSON.stringify(errorBody(refusal(code), requestId));
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nconnection: close\r\ncontent-type: application/json; charset=utf-8\r\n` +
      `content-length: ${Buffer.byteLength(body)}\r\nx-request-id: ${requestId}\r\n\r\n${body}`,
  );
}
