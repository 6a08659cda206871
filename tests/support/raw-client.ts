/** A client that writes bytes: no library corrects what it sends. */
import { connect, type Socket } from 'node:net';

/**
 * Sends bytes and reads all that comes back, until the broker hangs up. What it answers and keeps open is hung up on
 * after so many answers.
 */
export async function exchangeBytes(
  url: string,
  bytes: string | Buffer,
  answers = 1,
): Promise<string> {
  const send = await openConnection(url);
  return send(bytes, answers);
}

/** Connects now, so that what is sent later goes out at once. */
export function openConnection(
  url: string,
): Promise<(bytes: string | Buffer, answers?: number) => Promise<string>> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connect({ host: hostname, port: Number(port) });
    socket.setEncoding('utf8').once('error', reject);
    socket.once('connect', () => {
      socket.off('error', reject).on('error', () => undefined);
      resolve((bytes, answers = 1) => exchange(socket, bytes, answers));
    });
  });
}

function exchange(socket: Socket, bytes: string | Buffer, answers: number): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    socket.on('data', (chunk: string) => {
      text += chunk;
      if (wholeAnswers(text) >= answers) socket.destroy();
    });
    socket.on('close', () => resolve(text));
    socket.write(bytes);
  });
}

/** Status codes of the answers in a text. */
export function statusesOf(text: string): number[] {
  return [...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, code]) => Number(code));
}

/** How many answers are there to their last byte, by their content-length. */
function wholeAnswers(text: string): number {
  let rest = text;
  for (let count = 0; ; count += 1) {
    const end = rest.indexOf('\r\n\r\n');
    const length = Number(/\r\ncontent-length: (\d+)\r\n/i.exec(rest.slice(0, end + 2))?.[1]);
    if (end === -1 || !(rest.length - end - 4 >= length)) return count;
    rest = rest.slice(end + 4 + length);
  }
}
