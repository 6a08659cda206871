/** Lists of tokens and of the runs that they belong to. */
import { and, desc, eq, gt, isNull, lt, sql, type SQL } from 'drizzle-orm';
import type { Db } from './database.ts';
import { maybe, type PageRequest } from './page.ts';
import { grants, runs, tokens } from './schema.ts';

export type TokenRow = typeof tokens.$inferSelect & { runName: string | null };

export interface TokenFilter {
  labId?: string | undefined;
  personId?: string | undefined;
  grantId?: string | undefined;
  runId?: string | undefined;
  /** The key that they were obtained with. */
  kid?: string | undefined;
  vouchedBy?: 'person' | 'lab' | undefined;
  /** Only those neither expired nor revoked at this moment, epoch milliseconds. */
  liveAt?: number | undefined;
}

/** Newest first. */
export function listTokens(db: Db, { after, limit }: PageRequest, filter: TokenFilter): TokenRow[] {
  return db
    .select()
    .from(tokens)
    .leftJoin(runs, eq(runs.id, tokens.runId))
    .where(
      and(
        maybe(after, (id) => lt(tokens.id, id)),
        maybe(filter.labId, (id) => eq(tokens.labId, id)),
        maybe(filter.personId, (id) => eq(tokens.personId, id)),
        maybe(filter.grantId, (id) => eq(tokens.grantId, id)),
        maybe(filter.runId, (id) => eq(tokens.runId, id)),
        maybe(filter.kid, (kid) => eq(tokens.kid, kid)),
        maybe(filter.vouchedBy, (by) => eq(tokens.vouchedBy, by)),
        maybe(filter.liveAt, (now) => and(gt(tokens.expiresAt, now), isNull(tokens.revokedAt))),
      ),
    )
    .orderBy(desc(tokens.id))
    .limit(limit)
    .all()
    .map((row) => ({ ...row.tokens, runName: row.runs?.name ?? null }));
}

/** A run, with what is left and what was last done of it. */
export type RunRow = typeof runs.$inferSelect & {
  labId: string;
  /** Tokens neither expired nor revoked. */
  liveTokens: number;
  /** Epoch milliseconds. */
  lastUsedAt: number | null;
};

export interface RunFilter {
  id?: string | undefined;
  labId?: string | undefined;
  grantId?: string | undefined;
  /** Whoever began it or has, or had, a token of it. */
  personId?: string | undefined;
  /** Only those that have not been handed back. */
  open?: boolean | undefined;
  /** Of runs that somebody else began, count this person's tokens alone. */
  seenBy?: string | undefined;
  /** The moment at which tokens are live, epoch milliseconds. */
  now: number;
}

/** Newest first. */
export function listRuns(db: Db, { after, limit }: PageRequest, filter: RunFilter): RunRow[] {
  const { seenBy, now } = filter;
  const counted = and(
    eq(tokens.runId, runs.id),
    maybe(seenBy, (id) => isSharedBy(id)),
  );
  const live = and(counted, gt(tokens.expiresAt, now), isNull(tokens.revokedAt));
  return db
    .select({
      run: runs,
      labId: grants.labId,
      liveTokens: sql<number>`(SELECT count(*) FROM ${tokens} WHERE ${live})`,
      lastUsedAt: sql<
        number | null
      >`(SELECT max(${tokens.lastUsedAt}) FROM ${tokens} WHERE ${counted})`,
    })
    .from(runs)
    .innerJoin(grants, eq(grants.id, runs.grantId))
    .where(
      and(
        maybe(after, (id) => lt(runs.id, id)),
        maybe(filter.id, (id) => eq(runs.id, id)),
        maybe(filter.labId, (id) => eq(grants.labId, id)),
        maybe(filter.grantId, (id) => eq(runs.grantId, id)),
        maybe(
          filter.personId,
          (id) =>
            sql`(${runs.personId} = ${id} OR EXISTS (SELECT 1 FROM ${tokens} WHERE ${tokens.runId} = ${runs.id} AND ${tokens.personId} = ${id}))`,
        ),
        filter.open ? isNull(runs.endedAt) : undefined,
      ),
    )
    .orderBy(desc(runs.id))
    .limit(limit)
    .all()
    .map(({ run, ...rest }) => ({ ...run, ...rest }));
}

/** The token is the person's own, or of a run that they began. */
function isSharedBy(personId: string): SQL {
  return sql`(${runs.personId} = ${personId} OR ${tokens.personId} = ${personId})`;
}
