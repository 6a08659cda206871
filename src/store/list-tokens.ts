/** The list of tokens. There may be millions, and this runs in the thread that serves everybody. */
import { and, desc, eq, gt, gte, isNull, lt, sql, type SQL } from 'drizzle-orm';
import { firstIdAt } from '../lib/ids.ts';
import type { Db } from './database.ts';
import { LONGEST_TOKEN_MS } from './operations/end-tokens.ts';
import { maybe, type PageRequest, type Searched } from './page.ts';
import { runs, tokens } from './schema.ts';

export type TokenRow = typeof tokens.$inferSelect & { runName: string | null };

export interface TokenFilter {
  labId?: string | undefined;
  personId?: string | undefined;
  grantId?: string | undefined;
  runId?: string | undefined;
  /** The key that they were obtained with. */
  kid?: string | undefined;
  vouchedBy?: 'person' | 'lab' | undefined;
  audience?: 'gateway' | 'control' | undefined;
  /** Only those neither expired nor revoked at this moment, epoch milliseconds. */
  liveAt?: number | undefined;
}

/** Tokens that one call looks at, whether they match or not. */
export const MOST_TOKENS_SEARCHED = 5_000;

/** By what tokens are found, that which leaves the fewest first: each has an index that ends with the id. */
const INDEXED = [
  ['runId', tokens.runId],
  ['kid', tokens.kid],
  ['personId', tokens.personId],
  ['grantId', tokens.grantId],
  ['labId', tokens.labId],
] as const;

/**
 * Newest first. One part of what is asked for is found by an index; the rest is looked for among a bounded
 * number of those, so that a search can end before it has found enough.
 */
export function listTokens(
  db: Db,
  { after, limit }: PageRequest,
  filter: TokenFilter,
): Searched<TokenRow> {
  const [first, ...rest] = INDEXED.filter(([name]) => filter[name] !== undefined);
  const indexed = and(
    first && eq(first[1], filter[first[0]] as string),
    maybe(after, (id) => lt(tokens.id, id)),
    // What is live is no older than this.
    maybe(filter.liveAt, (now) => gt(tokens.id, firstIdAt('tok', now - LONGEST_TOKEN_MS))),
  );
  const end = db
    .select({ id: tokens.id })
    .from(tokens)
    .where(indexed)
    .orderBy(desc(tokens.id))
    .limit(1)
    .offset(MOST_TOKENS_SEARCHED - 1)
    .get();
  const found = db
    .select()
    .from(tokens)
    .leftJoin(runs, eq(runs.id, tokens.runId))
    .where(
      and(
        indexed,
        maybe(end, ({ id }) => gte(tokens.id, id)),
        ...rest.map(([name, column]) => byReading(column, filter[name] as string)),
        maybe(filter.vouchedBy, (by) => eq(tokens.vouchedBy, by)),
        maybe(filter.audience, (audience) => eq(tokens.audience, audience)),
        maybe(filter.liveAt, (now) => and(gt(tokens.expiresAt, now), isNull(tokens.revokedAt))),
      ),
    )
    .orderBy(desc(tokens.id))
    .limit(limit)
    .all()
    .map((row) => ({ ...row.tokens, runName: row.runs?.name ?? null }));
  return { found, searchedTo: found.length < limit ? (end?.id ?? null) : null };
}

/** A condition that SQLite is not to look for an index for: in that one, there may be far more to pass over. */
const byReading = (column: (typeof INDEXED)[number][1], value: string): SQL =>
  sql`+${column} = ${value}`;
