import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { setImmediate, setTimeout } from 'node:timers/promises';
import type { z } from 'zod';

/** An answer in one piece. */
export interface JsonAnswer {
  status: number;
  body: object;
}

/** What a dialect decides about a request; the server writes it. */
export type Answer = JsonAnswer | { frames: Iterable<string> };

/** The first thing wrong with a body, in words that both vendors' errors are built from. */
export interface Complaint {
  path: (string | number)[];
  missing: boolean;
  message: string;
}

const MAX_BODY_BYTES = 32 * 1024 * 1024;

/** Reads a whole request body, or answers `too large` as soon as it is. */
export async function readBody(req: IncomingMessage): Promise<Buffer | 'too large'> {
  const chunks: Buffer[] = [];
  let size = 0;
  // Left undestroyed, so that a refusal can still be written to the same socket.
  const source: AsyncIterable<Buffer> = req.iterator({ destroyOnReturn: false });
  for await (const chunk of source) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES) return 'too large';
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** Parses bytes as UTF-8 JSON; `undefined` (which is no JSON value) when they are not. */
export function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    return undefined;
  }
}

/** Reduces a schema's refusal to its first complaint. */
export function firstComplaint(error: z.ZodError, body: unknown): Complaint {
  const issue = error.issues[0];
  const path = (issue?.path ?? []).map((step) => (typeof step === 'number' ? step : String(step)));
  let at = body;
  for (const step of path) at = (at as Record<string | number, unknown> | undefined)?.[step];
  return { path, missing: at === undefined, message: issue?.message ?? 'Invalid input' };
}

/** Writes an answer in one piece. */
export function sendJson(
  res: ServerResponse,
  status: number,
  body: object,
  headers: Record<string, string>,
): void {
  const bytes = Buffer.from(JSON.stringify(body));
  res.writeHead(status, {
    'content-type': 'application/json',
    'content-length': bytes.length,
    ...headers,
  });
  res.end(bytes);
}

/**
 * Writes server-sent events at the model's pace, and no faster than the client reads. Ends quietly, with
 * its timer cleared, as soon as the client is gone.
 */
export async function sendFrames(
  res: ServerResponse,
  frames: Iterable<string>,
  paceMs: number,
  headers: Record<string, string>,
): Promise<void> {
  const gone = new AbortController();
  res.once('close', () => gone.abort());
  res.writeHead(200, {
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-cache',
    ...headers,
  });
  try {
    let first = true;
    for (const frame of frames) {
      if (!first) await pause(paceMs, gone.signal);
      first = false;
      if (res.destroyed) return;
      if (!res.write(frame)) await once(res, 'drain', { signal: gone.signal });
    }
    res.end();
  } catch (error) {
    if (!gone.signal.aborted) throw error;
  }
}

/** Even without a pace the event loop gets its turn, or a long stream would not notice a lost client. */
async function pause(paceMs: number, signal: AbortSignal): Promise<void> {
  if (paceMs > 0) await setTimeout(paceMs, undefined, { signal });
  else await setImmediate(undefined, { signal });
}
