/** Reading request bodies: bounded, uncompressed, in UTF-8. */
import express, { type Request, type Response } from 'express';
import { RefusedError, refusal, refuse, type Refusal } from '../core/denials.ts';

/** Whether a request carries a body at all. */
export function hasBody(req: Request): boolean {
  return (
    req.headers['transfer-encoding'] !== undefined ||
    Number(req.headers['content-length'] ?? 0) !== 0
  );
}

/** Makes a reader of bodies up to a size. */
export function bodyReader(limitBytes: number): (req: Request, res: Response) => Promise<string> {
  const raw = express.raw({ type: () => true, limit: limitBytes, inflate: false });
  return async (req, res) => {
    await new Promise<void>((resolve, reject) => {
      raw(req, res, (error?: unknown) => {
        if (error === undefined) resolve();
        else reject(toError(error));
      });
    });
    const body = req.body as unknown;
    if (!Buffer.isBuffer(body)) return '';
    try {
      return new TextDecoder('utf-8', { fatal: true }).decode(body);
    } catch {
      return refuse('invalid_json', 'The body is not in UTF-8.');
    }
  };
}

/** Reads JSON. @throws RefusedError `unsupported_media_type`, `body_too_large` or `invalid_json` */
export async function readJson(
  read: ReturnType<typeof bodyReader>,
  req: Request,
  res: Response,
): Promise<unknown> {
  if (!/^application\/json\s*(;\s*charset="?utf-8"?\s*)?$/i.test(req.headers['content-type'] ?? ''))
    return refuse('unsupported_media_type');
  const text = await read(req, res);
  try {
    return withoutProto(JSON.parse(text));
  } catch (error) {
    if (error instanceof RefusedError) throw error;
    return refuse('invalid_json');
  }
}

/** Wherever names are free to choose, schemas would pass over this one in silence. */
function withoutProto(body: unknown): unknown {
  const open = [body];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (typeof next !== 'object' || next === null) continue;
    if (Object.hasOwn(next, '__proto__')) {
      const param = '__proto__';
      refuse('invalid_request', `The name "${param}" cannot be used.`, { param });
    }
    for (const value of Object.values(next)) open.push(value);
  }
  return body;
}

/** What the body parser says when it gives up, in our words. */
const REFUSAL_OF = new Map<unknown, Refusal>([
  ['entity.too.large', refusal('body_too_large')],
  ['encoding.unsupported', refusal('unsupported_media_type')],
  ['request.aborted', refusal('invalid_request', 'The body ended too early.')],
  [
    'request.size.invalid',
    refusal('invalid_request', 'The body is not as long as Content-Length says.'),
  ],
]);

function toError(error: unknown): Error {
  const why = REFUSAL_OF.get((error as { type?: unknown }).type);
  if (why) return new RefusedError(why);
  return error instanceof Error ? error : new Error('The body could not be read.');
}
