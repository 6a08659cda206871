/** Reads a local request whole: it may have to be sent a second time, with another proof. */
import type { IncomingMessage } from 'node:http';
import { LocalRefusedError, refusalAsGateway } from './local-refusal.ts';

/** More than any request of text and images has. The broker has a bound of its own. */
export const MOST_BODY_BYTES = 64 * 1024 * 1024;

/** @throws LocalRefusedError when it is too large; or when the client goes away */
export async function readBody(req: IncomingMessage): Promise<Buffer> {
  if (Number(req.headers['content-length'] ?? 0) > MOST_BODY_BYTES) throw tooLarge(req);
  const chunks: Buffer[] = [];
  let length = 0;
  // Not destroyed where the loop ends early: the client is to read why.
  for await (const chunk of req.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > MOST_BODY_BYTES) throw tooLarge(req);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, length);
}

function tooLarge(req: IncomingMessage): LocalRefusedError {
  // Most clients read the answer only when they have sent everything.
  req.resume();
  const message = `The body is larger than the ${MOST_BODY_BYTES} bytes that "sallyport connect" passes on. Send less.`;
  return new LocalRefusedError(refusalAsGateway('body_too_large', message));
}
