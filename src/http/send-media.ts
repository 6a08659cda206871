/** Answers that are not JSON: whole or as a stream, compressed or unchanged since the client saw them. */
import type { Response } from 'express';
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import type { MediaReply } from './route.ts';

const compress = promisify(gzip);

/** Below this it is not worth the while. */
const LEAST_TO_COMPRESS = 1_024;

/** Sends an answer. @param usual its status where it says none */
export async function sendMedia(
  { status, headers = {}, body, revalidates, compressible }: MediaReply,
  media: string,
  usual: number,
  res: Response,
): Promise<void> {
  res.status(status ?? usual).setHeader('content-type', media);
  for (const [name, value] of Object.entries(headers)) res.setHeader(name, value);
  if (body instanceof Readable) {
    // Nobody reads it: it ends before it begins.
    if (res.req.method === 'HEAD') body.destroy();
    if (!body.destroyed) return stream(body, res);
    res.end();
    return;
  }
  const bytes = Buffer.from(body);
  // RFC 9110, section 8.8.3.3: what is compressed is another representation, and has another tag.
  const isCompressed =
    compressible === true &&
    bytes.length >= LEAST_TO_COMPRESS &&
    acceptsGzip(res.req.headers['accept-encoding']);
  if (compressible) res.setHeader('vary', 'accept-encoding');
  if (revalidates) {
    const digest = createHash('sha256').update(bytes).digest('base64url').slice(0, 22);
    const tag = `"${digest}${isCompressed ? '-gzip' : ''}"`;
    res.setHeader('etag', tag);
    if (isUnchanged(res.req.headers['if-none-match'], tag)) {
      res.removeHeader('content-type');
      res.status(304).end();
      return;
    }
  }
  if (isCompressed) res.setHeader('content-encoding', 'gzip');
  res.end(isCompressed ? await compress(bytes) : bytes);
}

/** At the client's pace. When the client goes away, the source is destroyed with it. */
async function stream(body: Readable, res: Response): Promise<void> {
  try {
    await pipeline(body, res);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_STREAM_PREMATURE_CLOSE') throw error;
  }
}

/** RFC 9110, section 12.5.3. */
function acceptsGzip(header: string | undefined): boolean {
  const codings = (header ?? '').split(',').map((one) => one.trim().toLowerCase());
  return codings.some((coding) => {
    const [, name, weight = '1'] = /^(gzip|x-gzip|\*)\s*(?:;\s*q=([0-9.]+))?$/.exec(coding) ?? [];
    return name !== undefined && Number(weight) > 0;
  });
}

/** RFC 9110, section 13.1.2: compared weakly. */
function isUnchanged(header: string | undefined, tag: string): boolean {
  if (header === undefined) return false;
  return header
    .split(',')
    .map((one) => one.trim().replace(/^W\//, ''))
    .some((one) => one === '*' || one === tag);
}
