/** The process of the fast upstream: bare sockets, answers that are ready, streams paced by one timer. */
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { CHUNK_EVERY_MS, chatAnswer, contentEvent, endOfStream } from './chat.ts';
import { answerParent } from './child.ts';

/** So much of a body is looked at: what asks for a stream stands at its beginning. */
const LOOK_AT_BYTES = 1024;

/** A stream under way. */
interface Stream {
  socket: Socket;
  sent: number;
  chunks: number;
  /** When its next event is due. */
  due: number;
}

const STREAM_HEAD =
  'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n';

const framed = (text: string): string => `${text.length.toString(16)}\r\n${text}\r\n`;

class Upstream {
  readonly #model: string;
  readonly #answer: Buffer;
  readonly #events: Buffer[] = [];
  readonly #end: Buffer;
  /** By due time, in milliseconds modulo the pace: each stream is due once in a round. */
  readonly #wheel: Stream[][] = Array.from({ length: CHUNK_EVERY_MS }, () => []);
  #turnedTo = Math.floor(performance.now());

  constructor(model: string) {
    this.#model = model;
    const body = chatAnswer(model);
    this.#answer = Buffer.from(
      `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    );
    this.#end = Buffer.from(`${framed(endOfStream(model))}0\r\n\r\n`);
    setInterval(() => this.#turn(), 1);
  }

  serve(socket: Socket): void {
    let pending: Buffer | undefined;
    let begun = '';
    let left = 0;
    socket.on('data', (read) => {
      let bytes = read;
      if (left === 0) {
        bytes = pending ? Buffer.concat([pending, read]) : read;
        const end = bytes.indexOf('\r\n\r\n');
        pending = bytes;
        if (end < 0) return;
        pending = undefined;
        begun = '';
        left = bodyLength(bytes.toString('latin1', 0, end).toLowerCase());
        bytes = bytes.subarray(end + 4);
      }
      if (begun.length < LOOK_AT_BYTES) begun += bytes.toString('latin1', 0, LOOK_AT_BYTES);
      left -= bytes.length;
      if (left < 0) throw new Error('More came than the request was to have.');
      if (left === 0) this.#answerTo(socket, begun);
    });
    // Whoever hangs up in the middle of a stream is to be noticed as a socket that is destroyed, no more.
    socket.on('error', () => socket.destroy());
  }

  #answerTo(socket: Socket, body: string): void {
    if (!body.includes('"stream":true')) return void socket.write(this.#answer);
    const chunks = Number(/"max_tokens":(\d+)/.exec(body)?.[1]);
    socket.write(STREAM_HEAD + framed(contentEvent(this.#model, 0)));
    const due = Math.floor(performance.now()) + CHUNK_EVERY_MS;
    this.#wheel[due % CHUNK_EVERY_MS]?.push({ socket, sent: 1, chunks, due });
  }

  #turn(): void {
    const now = Math.floor(performance.now());
    for (; this.#turnedTo < now; this.#turnedTo += 1) {
      const slot = (this.#turnedTo + 1) % CHUNK_EVERY_MS;
      const streams = this.#wheel[slot] as Stream[];
      if (streams.length > 0)
        this.#wheel[slot] = streams.filter((stream) => this.#goOn(stream, now));
    }
  }

  /** @returns whether there is more to come */
  #goOn(stream: Stream, now: number): boolean {
    if (stream.due > now) return true;
    stream.due += CHUNK_EVERY_MS;
    if (stream.socket.destroyed) return false;
    const isOver = stream.sent === stream.chunks;
    stream.socket.write(isOver ? this.#end : this.#eventOf(stream.sent));
    stream.sent += 1;
    return !isOver;
  }

  #eventOf(n: number): Buffer {
    return (this.#events[n] ??= Buffer.from(framed(contentEvent(this.#model, n))));
  }
}

function bodyLength(head: string): number {
  const length = /\r\ncontent-length: *(\d+)/.exec(head)?.[1];
  if (length === undefined) throw new Error(`The request has no content-length: ${head}`);
  return Number(length);
}

answerParent(async ({ model }: { model: string }) => {
  const upstream = new Upstream(model);
  const server = createServer({ noDelay: true }, (socket) => upstream.serve(socket));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
});
