/**
 * Entries to a syslog server over TLS (RFC 5424, RFC 5425). Syslog has no acknowledgements: what has been written may be
 * lost with the connection. So each batch has a connection of its own, which is closed in order (close_notify); once the
 * other side has closed it as well, its system has everything that came before.
 */
import { once } from 'node:events';
import { isIP } from 'node:net';
import { connect, type SecureContext, type TLSSocket } from 'node:tls';
import { readRawEntry } from '../core/audit/raw-entry.ts';
import { syslogFrame, type SyslogSource } from '../core/audit/syslog.ts';
import type { ForwardAttempt, SyslogReceiver } from '../core/forwarding.ts';
import { openTls } from '../lib/tls-files.ts';
import type { Forwarder, OutgoingEntry } from './forwarder.ts';

const UNREACHABLE: ForwardAttempt = { delivered: false, failure: 'unreachable' };

export class SyslogForwarder implements Forwarder {
  readonly #receiver: Pick<SyslogReceiver, 'host' | 'port'>;
  readonly #source: SyslogSource;
  readonly #tls: SecureContext;

  /**
   * @param hostname what messages say they come from, where the configuration says nothing
   * @throws with what to do, never with the key
   */
  constructor(receiver: SyslogReceiver, hostname: string) {
    this.#receiver = receiver;
    this.#source = { hostname: receiver.hostname ?? hostname, appName: receiver.appName };
    this.#tls = openTls(receiver.tls);
  }

  async forward(
    entries: readonly OutgoingEntry[],
    _at: number,
    signal: AbortSignal,
  ): Promise<ForwardAttempt> {
    const frames = Buffer.concat(entries.flatMap((entry) => this.#frame(entry)));
    const socket = this.#connect();
    const hangUp = (): void => void socket.destroy();
    signal.addEventListener('abort', hangUp);
    try {
      if (signal.aborted) return UNREACHABLE;
      await once(socket, 'secureConnect');
      const closed = orderlyClose(socket);
      socket.end(frames);
      return (await closed) ? { delivered: true } : UNREACHABLE;
    } catch {
      return UNREACHABLE;
    } finally {
      signal.removeEventListener('abort', hangUp);
      socket.on('error', () => undefined).destroy();
    }
  }

  close(): void {
    // There is no connection but during an attempt, and that has its own signal.
  }

  #connect(): TLSSocket {
    const { host, port } = this.#receiver;
    return connect({
      host,
      port,
      secureContext: this.#tls,
      minVersion: 'TLSv1.2',
      // Said, so that no variable of the environment turns it off.
      rejectUnauthorized: true,
      // An address has no name that the server could be asked for (RFC 6066).
      ...(isIP(host) === 0 ? { servername: host } : {}),
    });
  }

  #frame({ index, bytes }: OutgoingEntry): Uint8Array[] {
    // Parsed: what an entry's data say of other entries is not to be taken for its own.
    const { kind, committedAt, decision } = readRawEntry(bytes);
    return syslogFrame(this.#source, {
      index,
      kind,
      committedAt,
      isDenied: decision === 'denied',
      bytes,
    });
  }
}

/** Whether the other side ends the connection without an error, after we have. */
function orderlyClose(socket: TLSSocket): Promise<boolean> {
  return new Promise((resolve) => {
    let isEnded = false;
    let isWritten = false;
    socket.on('finish', () => (isWritten = true));
    // An end that comes before ours acknowledges nothing.
    socket.on('end', () => (isEnded = isWritten));
    socket.on('error', () => resolve(false));
    // What it says is read and not looked at: unread, its end would never be seen.
    socket.resume();
    socket.on('close', () => resolve(isEnded));
  });
}
