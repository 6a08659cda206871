/** An upstream that speaks HTTP/1.1 byte by byte, as the test says: for what no server of Node.js would send. */
import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';

export interface RawUpstream {
  url: string;
  /** Whole requests, in the order they arrived. */
  requests: string[];
  connections: Socket[];
  /** Called with each whole request from now on. */
  respond(handler: (socket: Socket, request: string) => void): void;
  close(): Promise<void>;
}

export async function startRawUpstream(): Promise<RawUpstream> {
  const requests: string[] = [];
  const connections: Socket[] = [];
  let handler = (_socket: Socket, _request: string): void => undefined;
  const server = createServer({ noDelay: true }, (socket) => {
    connections.push(socket);
    socket.on('error', () => undefined);
    let unread = '';
    socket.on('data', (bytes) => {
      unread += bytes.toString('latin1');
      for (let end = endOf(unread); end !== undefined; end = endOf(unread)) {
        const request = unread.slice(0, end);
        unread = unread.slice(end);
        requests.push(request);
        handler(socket, request);
      }
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    connections,
    respond(next) {
      handler = next;
    },
    async close() {
      for (const socket of connections) socket.destroy();
      const closed = once(server, 'close');
      server.close();
      await closed;
    },
  };
}

/** Where the first request ends. */
function endOf(text: string): number | undefined {
  const head = text.indexOf('\r\n\r\n');
  if (head === -1) return undefined;
  const length = Number(/^content-length: (\d+)/im.exec(text.slice(0, head))?.[1] ?? 0);
  const end = head + 4 + length;
  return text.length < end ? undefined : end;
}

/** A whole answer; `headers` are lines. */
export function answerOf(text: string, headers: string[] = []): string {
  const lines = ['HTTP/1.1 200 OK', `content-length: ${Buffer.byteLength(text)}`, ...headers];
  return `${lines.join('\r\n')}\r\n\r\n${text}`;
}
