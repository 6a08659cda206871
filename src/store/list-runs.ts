/** The list of runs. A run may have had any number of tokens: they are not read for it. */
import { and, desc, eq, exists, gt, gte, inArray, isNull, lt, sql, type SQL } from 'drizzle-orm';
import { firstIdAt } from '../lib/ids.ts';
import type { Db } from './database.ts';
import { LONGEST_TOKEN_MS } from './operations/end-tokens.ts';
import { maybe, type PageRequest, type Searched } from './page.ts';
import { grants, runs, tokens } from './schema.ts';

/** A run, with what is left and what was last done of it. */
export type RunRow = typeof runs.$inferSelect & {
  labId: string;
  /** Tokens neither expired nor revoked. */
  liveTokens: number;
};

export interface RunFilter {
  id?: string | undefined;
  labId?: string | undefined;
  grantId?: string | undefined;
  /** Whoever began it or has, or had, a token of it. */
  personId?: string | undefined;
  /** Only those that have not been handed back. */
  open?: boolean | undefined;
  /** Of runs that somebody else began, speak of this person's tokens alone. */
  seenBy?: string | undefined;
  /** The moment at which tokens are live, epoch milliseconds. */
  now: number;
}

/** Runs that one call looks at, whether they match or not. */
export const MOST_RUNS_SEARCHED = 1_000;

/** Sorts after every id of a run. */
const AFTER_ALL = 'run_~';

/** Newest first. A search can end before it has found enough. */
export function listRuns(
  db: Db,
  { after = AFTER_ALL, limit }: PageRequest,
  filter: RunFilter,
): Searched<RunRow> {
  const { labId, grantId, seenBy, now } = filter;
  const { among, end } = partOf(db, after, filter);
  const found = db
    .select({
      run: runs,
      labId: grants.labId,
      liveTokens: liveTokens(seenBy, now),
      lastUsedAt: lastUse(seenBy),
    })
    .from(runs)
    .innerJoin(grants, eq(grants.id, runs.grantId))
    .where(
      and(
        among,
        maybe(labId, (lab) => eq(grants.labId, lab)),
        maybe(grantId, (grant) => eq(runs.grantId, grant)),
        filter.open ? isNull(runs.endedAt) : undefined,
      ),
    )
    .orderBy(desc(runs.id))
    .limit(limit)
    .all()
    .map(({ run, ...rest }) => ({ ...run, ...rest }));
  return { found, searchedTo: found.length < limit ? end : null };
}

interface Part {
  among: SQL | undefined;
  /** The last of a full part. */
  end: string | null;
}

function partOf(db: Db, after: string, { id, personId, grantId }: RunFilter): Part {
  if (id === undefined)
    return personId === undefined ? runsFrom(db, after, grantId) : runsOf(db, after, personId);
  const takesPart = maybe(personId, (person) =>
    exists(
      db
        .select({ id: tokens.id })
        .from(tokens)
        .where(and(eq(tokens.personId, person), eq(tokens.runId, runs.id))),
    ),
  );
  return { among: and(eq(runs.id, id), takesPart), end: null };
}

function runsFrom(db: Db, after: string, grantId: string | undefined): Part {
  const where = and(
    lt(runs.id, after),
    maybe(grantId, (id) => eq(runs.grantId, id)),
  );
  const end = db
    .select({ id: runs.id })
    .from(runs)
    .where(where)
    .orderBy(desc(runs.id))
    .limit(1)
    .offset(MOST_RUNS_SEARCHED - 1)
    .get();
  const among = and(
    where,
    maybe(end, ({ id }) => gte(runs.id, id)),
  );
  return { among, end: end?.id ?? null };
}

/** The runs that somebody takes part in: from one to the next by an index, whatever each has of tokens. */
function runsOf(db: Db, after: string, personId: string): Part {
  const before = (id: SQL): SQL =>
    sql`SELECT max(run_id) FROM tokens WHERE person_id = ${personId} AND run_id < ${id}`;
  const ids = db
    .all<{ id: string | null }>(
      sql`WITH RECURSIVE part(id) AS (
            SELECT (${before(sql`${after}`)})
            UNION ALL SELECT (${before(sql`part.id`)}) FROM part WHERE part.id IS NOT NULL
            LIMIT ${MOST_RUNS_SEARCHED})
          SELECT id FROM part`,
    )
    .flatMap((row) => row.id ?? []);
  const end = ids.length === MOST_RUNS_SEARCHED ? (ids.at(-1) ?? null) : null;
  return { among: inArray(runs.id, ids), end };
}

function liveTokens(seenBy: string | undefined, now: number): SQL<number> {
  const live = and(
    eq(tokens.runId, runs.id),
    // What is live is no older than this.
    gt(tokens.id, firstIdAt('tok', now - LONGEST_TOKEN_MS)),
    gt(tokens.expiresAt, now),
    isNull(tokens.revokedAt),
    // Read, and not looked up: an index by person leads to everything that they ever had of the run.
    maybe(seenBy, (id) => sql`(${runs.personId} = ${id} OR +${tokens.personId} = ${id})`),
  );
  return sql<number>`(SELECT count(*) FROM ${tokens} WHERE ${live})`;
}

function lastUse(seenBy: string | undefined): SQL<number | null> {
  if (seenBy === undefined) return sql<number | null>`${runs.lastUsedAt}`;
  const theirs = and(eq(tokens.personId, seenBy), eq(tokens.runId, runs.id));
  return sql<
    number | null
  >`CASE WHEN ${runs.personId} = ${seenBy} THEN ${runs.lastUsedAt} ELSE (SELECT max(${tokens.lastUsedAt}) FROM ${tokens} WHERE ${theirs}) END`;
}
