/** Opens an HTTP/2 connection (RFC 9113): over TLS as ALPN agrees, over plain TCP with prior knowledge. */
import { connect, type ClientHttp2Session } from 'node:http2';
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls, type SecureContext, type TLSSocket } from 'node:tls';

/** Megabytes that node:http2 may hold for a connection: with its default of 10 it refuses streams under load. */
const SESSION_MEMORY_MB = 1_024;

export interface OpenSession {
  session: ClientHttp2Session;
  /** Of the session: what ends it for certain, whatever the other side does. */
  socket: Socket;
  /** Streams that the upstream takes at a time. */
  mostStreams: number;
}

/**
 * Resolves when the connection stands and the upstream has said how many streams it takes.
 *
 * @param tls undefined for plain TCP
 * @throws within connectMs, with a code, and nothing left open
 */
export async function openSession(
  origin: URL,
  tls: SecureContext | undefined,
  connectMs: number,
): Promise<OpenSession> {
  const socket = tls ? secureSocket(origin, tls) : plainSocket(origin);
  socket.setNoDelay(true).setKeepAlive(true, 60_000);
  return new Promise((resolve, reject) => {
    const deadline = setTimeout(() => {
      fail(new ConnectionError('ETIMEDOUT', 'The connection was not ready in time.'));
    }, connectMs);
    const fail = (error: Error): void => {
      clearTimeout(deadline);
      socket.destroy();
      reject(error);
    };
    const closed = (): void =>
      fail(new ConnectionError('ECONNRESET', 'The connection was closed.'));
    socket.once('error', fail).once('close', closed);
    socket.once(tls ? 'secureConnect' : 'connect', () => {
      if (tls && (socket as TLSSocket).alpnProtocol !== 'h2')
        return fail(new ConnectionError('ERR_NO_HTTP2', 'The upstream does not speak HTTP/2.'));
      const session = connect(origin, {
        createConnection: () => socket,
        settings: { enablePush: false },
        maxSessionMemory: SESSION_MEMORY_MB,
      });
      session.once('error', fail).once('close', closed);
      session.once('remoteSettings', ({ maxConcurrentStreams = Infinity }) => {
        clearTimeout(deadline);
        if (maxConcurrentStreams === 0)
          return fail(new ConnectionError('ERR_NO_STREAMS', 'The upstream takes no streams.'));
        session.off('error', fail).off('close', closed);
        socket.off('error', fail).off('close', closed);
        resolve({ session, socket, mostStreams: maxConcurrentStreams });
      });
    });
  });
}

function secureSocket(origin: URL, tls: SecureContext): Socket {
  const host = hostOf(origin);
  return connectTls({
    host,
    port: Number(origin.port || 443),
    secureContext: tls,
    ALPNProtocols: ['h2'],
    // Said here, so that no variable of the environment can switch it off.
    rejectUnauthorized: true,
    ...(isIP(host) ? {} : { servername: host }),
  });
}

function plainSocket(origin: URL): Socket {
  return connectTcp({ host: hostOf(origin), port: Number(origin.port || 80) });
}

function hostOf({ hostname }: URL): string {
  return hostname.replace(/^\[|\]$/g, '');
}

/** The code says what happened. */
export class ConnectionError extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}
