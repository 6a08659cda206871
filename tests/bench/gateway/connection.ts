/** A client's connection: one request after the other, as cheaply as Node can. */
import { once } from 'node:events';
import { createConnection, type Socket } from 'node:net';
import { ResponseReader } from './response-reader.ts';

/** Every read is looked at before the next, whosever it is. */
const READ_INTO = Buffer.allocUnsafe(65_536);

export interface Heard {
  /** After each read. */
  onRead?(connection: Connection): void;
  onResponse(connection: Connection): void;
  onClose(connection: Connection, why: Error | undefined): void;
}

export class Connection {
  readonly response = new ResponseReader();
  readonly #socket: Socket;
  sentAt = 0;

  private constructor(port: number, heard: Heard) {
    this.#socket = createConnection({
      port,
      host: '127.0.0.1',
      noDelay: true,
      onread: {
        buffer: READ_INTO,
        callback: (length) => {
          try {
            const isWhole = this.response.read(READ_INTO.subarray(0, length));
            heard.onRead?.(this);
            if (isWhole) heard.onResponse(this);
          } catch (error) {
            this.#socket.destroy(error as Error);
          }
          return true;
        },
      },
    });
    let why: Error | undefined;
    this.#socket.on('error', (error) => (why = error));
    this.#socket.on('close', () => heard.onClose(this, why));
  }

  static async open(port: number, heard: Heard): Promise<Connection> {
    const connection = new Connection(port, heard);
    await once(connection.#socket, 'connect');
    return connection;
  }

  send(request: Buffer): void {
    this.response.reset();
    this.sentAt = performance.now();
    this.#socket.write(request);
  }

  close(): void {
    this.#socket.destroy();
  }
}
