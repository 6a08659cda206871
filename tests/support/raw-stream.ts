/** A client that asks for a stream by hand, and decides when it reads and how it leaves. */
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { HELLO } from './running-broker.ts';

/** What is waited for is not longer. */
const LONGEST_PART = 200;

export interface RawStream {
  socket: Socket;
  /** What has come, head and chunks as they were sent. */
  text(): string;
  /** Resolves as soon as something has come. */
  has(part: string): Promise<void>;
  closed: Promise<void>;
}

/** A request for a stream, as bytes. */
export function streamRequest(token: string, body: object = {}): string {
  const text = JSON.stringify({ ...HELLO, stream: true, ...body });
  return `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nauthorization: Bearer ${token}\r\ncontent-length: ${Buffer.byteLength(text)}\r\n\r\n${text}`;
}

/** Connects and sends these bytes. The certificate of a test is good enough. */
export function rawStream(url: string, bytes: string): RawStream {
  const { hostname: host, port, protocol } = new URL(url);
  const to = { host, port: Number(port) };
  const socket =
    protocol === 'https:' ? connectTls({ ...to, rejectUnauthorized: false }) : connect(to);
  let text = '';
  const waiting = new Map<string, () => void>();
  let recent = '';
  socket.on('data', (chunk: Buffer) => {
    const read = chunk.toString('latin1');
    text += read;
    // Looked for in what has just come alone: the whole can be large.
    recent = recent.slice(-LONGEST_PART) + read;
    for (const [part, resolve] of waiting) if (recent.includes(part)) resolve();
  });
  socket.on('error', () => undefined);
  socket.write(bytes);
  return {
    socket,
    text: () => text,
    has: (part) =>
      new Promise((resolve) => {
        if (text.includes(part)) resolve();
        else waiting.set(part, resolve);
      }),
    closed: new Promise((resolve) => socket.once('close', () => resolve())),
  };
}
