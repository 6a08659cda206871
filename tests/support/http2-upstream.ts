/** Upstreams that speak HTTP/2 with prior knowledge: one of Node.js, and one that sends frames by hand. */
import { once } from 'node:events';
import {
  createServer as createHttp2Server,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import { createServer, type AddressInfo, type Socket } from 'node:net';

export interface Http2Upstream {
  url: string;
  /** Connections; the session of each has the same index. */
  sockets: Socket[];
  sessions: ServerHttp2Session[];
  /** Requests in the order they arrived. */
  streams: ServerHttp2Stream[];
  /** Called with each stream when its request has arrived whole. */
  respond(handler: (stream: ServerHttp2Stream) => void): void;
  close(): Promise<void>;
}

export async function startHttp2Upstream(mostStreams = 1_000): Promise<Http2Upstream> {
  const sockets: Socket[] = [];
  const sessions: ServerHttp2Session[] = [];
  const streams: ServerHttp2Stream[] = [];
  let handler = (_stream: ServerHttp2Stream): void => undefined;
  const server = createHttp2Server({ settings: { maxConcurrentStreams: mostStreams } });
  server.on('connection', (socket: Socket) => sockets.push(socket));
  server.on('session', (session) => {
    sessions.push(session);
    session.on('error', () => undefined);
  });
  server.on('stream', (stream) => {
    streams.push(stream);
    stream
      .on('error', () => undefined)
      .once('end', () => handler(stream))
      .resume();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: urlOf(server.address()),
    sockets,
    sessions,
    streams,
    respond(next) {
      handler = next;
    },
    async close() {
      for (const session of sessions) session.destroy();
      const closed = once(server, 'close');
      server.close();
      await closed;
    },
  };
}

export function answer(stream: ServerHttp2Stream, text = '{"ok":true}'): void {
  stream.respond({ ':status': 200, 'content-type': 'application/json' });
  stream.end(text);
}

/** Frame types (RFC 9113, 6). */
const HEADERS = 0x1;
export const RST_STREAM = 0x3;
const DATA = 0x0;
const SETTINGS = 0x4;
export const PING = 0x6;
export const GOAWAY = 0x7;

const END_STREAM = 0x1;
const END_HEADERS = 0x4;

const FRAME_HEAD = 9;
const PREFACE = 24;

export function frame(type: number, stream: number, payload: number[], flags = 0): Buffer {
  const head = Buffer.alloc(FRAME_HEAD);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, Buffer.from(payload)]);
}

/** A whole answer of status 200, in frames. */
export function answerFrames(stream: number, text = '{"ok":true}'): Buffer {
  return Buffer.concat([
    frame(HEADERS, stream, [0x88], END_HEADERS),
    frame(DATA, stream, [...Buffer.from(text)], END_STREAM),
  ]);
}

/** Headers that nobody can decode: an error of the whole connection. */
export function brokenHeaders(stream: number): Buffer {
  return frame(HEADERS, stream, [0xff, 0xff, 0xff, 0xff, 0xff, 0xff], END_HEADERS);
}

export interface FrameUpstream {
  url: string;
  /** Streams of the requests; their ids are 1, 3, 5 … on each connection. */
  requests: number[];
  /** Types of all frames that came, in order. */
  frames: number[];
  sockets: Socket[];
  close(): void;
}

/**
 * Answers each request with bytes, and nothing else. Keeps its side of a connection open when the other has ended.
 *
 * @param greet what else it says when the given connection, from 0 on, has just been made
 */
export async function startFrameUpstream(
  onRequest: (socket: Socket, stream: number, connection: number) => void,
  greet: (connection: number) => Buffer = () => Buffer.alloc(0),
): Promise<FrameUpstream> {
  const requests: number[] = [];
  const frames: number[] = [];
  const sockets: Socket[] = [];
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const connection = sockets.push(socket) - 1;
    socket.on('error', () => undefined);
    socket.write(Buffer.concat([frame(SETTINGS, 0, []), greet(connection)]));
    let unread = Buffer.alloc(0);
    let at = PREFACE;
    socket.on('data', (bytes) => {
      unread = Buffer.concat([unread, bytes]);
      while (unread.length >= at + FRAME_HEAD) {
        const end = at + FRAME_HEAD + unread.readUIntBE(at, 3);
        if (unread.length < end) return;
        const stream = unread.readUInt32BE(at + 5);
        const type = unread[at + 3] as number;
        frames.push(type);
        if (type === HEADERS) {
          requests.push(stream);
          onRequest(socket, stream, connection);
        }
        at = end;
      }
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: urlOf(server.address()),
    requests,
    frames,
    sockets,
    close() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

function urlOf(address: ReturnType<ReturnType<typeof createServer>['address']>): string {
  return `http://127.0.0.1:${(address as AddressInfo).port}`;
}
