/** Ending tokens: what every operation that takes access away has in common. */
import { and, gt, isNull, type SQL } from 'drizzle-orm';
import type { WriterContext } from '../context.ts';
import { tokens } from '../schema.ts';

/** No stream outlives its token by more (the configuration's bound of a request's life). */
const LONGEST_STREAM_MS = 86_400_000;

export interface EndedTokens {
  /** How many of them were live. */
  live: number;
  /** All of them: those too that had expired, since a stream that began with one may be running. */
  rows: (typeof tokens.$inferSelect)[];
}

/** Ends the tokens that a condition selects, those that have not been ended yet. */
export function endSelectedTokens(
  context: WriterContext,
  which: SQL | undefined,
  at: number,
): EndedTokens {
  const rows = context.db
    .update(tokens)
    .set({ revokedAt: at })
    .where(and(which, isNull(tokens.revokedAt), gt(tokens.expiresAt, at - LONGEST_STREAM_MS)))
    .returning()
    .all();
  for (const token of rows) context.changed({ kind: 'token', value: token });
  return { live: rows.filter((token) => token.expiresAt > at).length, rows };
}

/** Ends tokens. @returns how many of them were live */
export function endTokens(context: WriterContext, which: SQL | undefined, at: number): number {
  return endSelectedTokens(context, which, at).live;
}
