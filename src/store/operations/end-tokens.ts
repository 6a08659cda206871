/** Ending tokens: what every operation that takes access away has in common. */
import { and, gt, inArray, isNull, sql, type SQL } from 'drizzle-orm';
import { firstIdAt } from '../../lib/ids.ts';
import type { WriterContext } from '../context.ts';
import { requests, tokens } from '../schema.ts';

/** Neither a grant nor the configuration gives tokens a longer life. */
export const LONGEST_TOKEN_MS = 3_600_000;

/** SQLite bounds the number of variables of one statement. */
const IDS_AT_A_TIME = 500;

/** A token that was ended. */
interface EndedToken {
  id: string;
  labId: string;
  personId: string;
  grantId: string | null;
}

export interface EndedTokens {
  /** How many of them were live. */
  live: number;
  /** All of them: those too that had expired while a request that began with one is running. */
  rows: EndedToken[];
}

/**
 * Ends the tokens that a condition selects: those that are live, and those that a running request began
 * with. Tokens that are over are passed over, however many there were: this runs in the one writer, and
 * everybody else waits.
 */
export function endSelectedTokens(
  context: WriterContext,
  which: SQL | undefined,
  at: number,
): EndedTokens {
  const live = revokeWhere(
    context,
    and(which, gt(tokens.expiresAt, at), gt(tokens.id, firstIdAt('tok', at - LONGEST_TOKEN_MS))),
    at,
  );
  const rows = [...live];
  const running = tokensOfRunningRequests(context);
  for (let i = 0; i < running.length; i += IDS_AT_A_TIME) {
    const some = inArray(tokens.id, running.slice(i, i + IDS_AT_A_TIME));
    rows.push(...revokeWhere(context, and(which, some), at));
  }
  if (rows.length > 0) context.changed({ kind: 'tokens_ended', ids: rows.map(({ id }) => id), at });
  return { live: live.length, rows };
}

/** Ends tokens. @returns how many of them were live */
export function endTokens(context: WriterContext, which: SQL | undefined, at: number): number {
  return endSelectedTokens(context, which, at).live;
}

function revokeWhere(context: WriterContext, which: SQL | undefined, at: number): EndedToken[] {
  const { id, labId, personId, grantId } = tokens;
  const rows = context.db
    .update(tokens)
    .set({ revokedAt: at })
    .where(and(which, isNull(tokens.revokedAt)))
    .returning({ id, labId, personId, grantId })
    // As SQLite gives them: there may be a hundred thousand.
    .values() as [string, string, string, string | null][];
  return rows.map(([tokenId, lab, person, grant]) => ({
    id: tokenId,
    labId: lab,
    personId: person,
    grantId: grant,
  }));
}

function tokensOfRunningRequests({ db }: WriterContext): string[] {
  return db
    .selectDistinct({ id: requests.tokenId })
    .from(requests)
    .where(sql`${requests.state} = 'open'`)
    .all()
    .map(({ id }) => id);
}
