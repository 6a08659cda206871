/** Revisions on the wire: `ETag` says which state an answer shows, `If-Match` which state may be changed (RFC 9110, 13.1.1). */
import type { IncomingMessage } from 'node:http';
import { refuse } from '../core/denials.ts';

/** An entity tag, and what separates two of them. */
const TAG = /^(W\/)?"([\x21\x23-\x7e\x80-\xff]*)"$/;

export const toEtag = (revision: string): string => `"${revision}"`;

/**
 * The revisions that `If-Match` names; undefined where it is not sent, or is `*`. A weak tag matches nothing.
 *
 * @throws RefusedError for a header that is not well formed: to ignore it would be to change what was not meant
 */
export function ifMatchOf({ headers }: IncomingMessage): readonly string[] | undefined {
  const text = headers['if-match']?.trim();
  if (text === undefined || text === '*') return undefined;
  return text.split(',').flatMap((part) => {
    const [, weak, tag] = TAG.exec(part.trim()) ?? [];
    if (tag === undefined)
      refuse(
        'invalid_request',
        'If-Match takes what an ETag said, in its quotes, or *; several are separated by commas.',
        { param: 'If-Match' },
      );
    return weak === undefined ? [tag] : [];
  });
}
