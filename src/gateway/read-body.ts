/** Reads the body of a request: bounded in size and time, strict in its form. */
import { isUtf8 } from 'node:buffer';
import type { IncomingMessage } from 'node:http';
import { refuse } from '../core/denials.ts';
import { isObject, type JsonObject } from '../core/scope/inspection.ts';
import { hasTooManyParts } from '../core/scope/sound.ts';

export interface BodyBounds {
  maxBytes: number;
  /** Milliseconds from the first look at the body to its last byte. */
  timeoutMs: number;
  /** Bytes of all bodies that are held at the moment, and how many there may be. */
  memory: { used: number; most: number };
}

export interface JsonBody {
  value: JsonObject;
  /** Counted in `memory.used` until the request has ended; whoever reads a body takes them off again. */
  bytes: number;
}

/**
 * Reads and parses a JSON object.
 *
 * @throws RefusedError for what is too large, too slow, compressed, not UTF-8 or not a JSON object
 */
export async function readJsonBody(req: IncomingMessage, bounds: BodyBounds): Promise<JsonBody> {
  if (!isJson(req.headers['content-type'] ?? '')) refuse('unsupported_media_type');
  const encoding = req.headers['content-encoding'];
  if (encoding !== undefined && encoding !== 'identity') refuse('unsupported_media_type');
  const bytes = bytesAtHand(req, bounds) ?? (await readBytes(req, bounds));
  try {
    return { value: parse(bytes), bytes: bytes.length };
  } catch (error) {
    bounds.memory.used -= bytes.length;
    throw error;
  }
}

function isJson(type: string): boolean {
  if (type === 'application/json') return true;
  return type.split(';')[0]?.trim().toLowerCase() === 'application/json';
}

/**
 * A body that is there as a whole, as small ones are by the time the token is checked: then there is nothing to wait
 * for, or to listen to.
 */
function bytesAtHand(req: IncomingMessage, { maxBytes, memory }: BodyBounds): Buffer | undefined {
  const length = req.readableLength;
  const isWhole = length > 0 && length === Number(req.headers['content-length']);
  if (!isWhole || req.destroyed || length > maxBytes || memory.used + length > memory.most)
    return undefined;
  const bytes = req.read() as Buffer;
  memory.used += bytes.length;
  // Its end is still to come, and nobody listens for it.
  req.resume();
  return bytes;
}

function parse(bytes: Buffer): JsonObject {
  if (!isUtf8(bytes)) refuse('invalid_json', 'The body is not valid UTF-8.');
  const text = bytes.toString('utf8');
  if (hasTooManyParts(text))
    refuse('invalid_request', 'The body has too many parts.', { param: 'body' });
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // The parser's message quotes the body.
    return refuse('invalid_json', 'The body is not valid JSON.');
  }
  return isObject(value) ? value : refuse('invalid_json', 'The body must be a JSON object.');
}

function readBytes(
  req: IncomingMessage,
  { maxBytes, timeoutMs, memory }: BodyBounds,
): Promise<Buffer> {
  const tooLarge = (): never =>
    refuse(
      'body_too_large',
      `The body is larger than the ${maxBytes} bytes that this broker accepts.`,
    );
  const gone = (): never => refuse('invalid_request', 'The connection ended before the body did.');
  if (Number(req.headers['content-length'] ?? 0) > maxBytes) tooLarge();
  // While the token was checked: there will be no further event.
  if (req.destroyed) gone();
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    const timer = setTimeout(
      () => fail(() => refuse('invalid_request', 'The body did not arrive in time.')),
      timeoutMs,
    );
    const done = (): void => {
      clearTimeout(timer);
      req.off('data', onData).off('end', onEnd).off('error', onGone).off('close', onGone);
    };
    const fail = (refuseIt: () => never): void => {
      done();
      memory.used -= length;
      req.pause();
      try {
        refuseIt();
      } catch (error) {
        reject(error instanceof Error ? error : new Error(String(error)));
      }
    };
    const onData = (chunk: Buffer): void => {
      length += chunk.length;
      memory.used += chunk.length;
      if (length > maxBytes) fail(tooLarge);
      else if (memory.used > memory.most) fail(() => refuse('too_busy'));
      else chunks.push(chunk);
    };
    const onEnd = (): void => {
      done();
      resolve(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks, length));
    };
    const onGone = (): void => fail(gone);
    req.on('data', onData).on('end', onEnd).on('error', onGone).on('close', onGone);
  });
}
