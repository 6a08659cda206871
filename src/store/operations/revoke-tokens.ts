/** Ending any selection of tokens. */
import { and, eq, type SQL } from 'drizzle-orm';
import type { Json } from '../../core/audit/entry.ts';
import { refuse } from '../../core/denials.ts';
import type { WriterContext } from '../context.ts';
import { tokens } from '../schema.ts';
import { endSelectedTokens, type EndedTokens } from './end-tokens.ts';
import { controlOperation, type Authorised, type By } from './operation.ts';

/** Which tokens: those that match everything that is given. */
export interface TokenSelection {
  token?: string | undefined;
  grant?: string | undefined;
  person?: string | undefined;
  run?: string | undefined;
  lab?: string | undefined;
  /** The key that they were obtained with (kid). */
  key?: string | undefined;
}

/** What an operation did to tokens. */
export interface TokensEnded {
  /** How many live tokens it ended. */
  ended: number;
  /** All that it ended: those too that had expired while a stream ran on. */
  tokenIds: string[];
}

/**
 * Ends every token of a selection that lies within the actor's reach. What lies beyond is not touched, and
 * nothing tells whether it is there.
 */
export const revokeTokens = controlOperation(
  'token.revoke',
  (context, { by, selection }: { by: By; selection: TokenSelection }, who): TokensEnded => {
    if (Object.values(selection).every((value) => value === undefined))
      refuse('invalid_request', 'Say which tokens: an empty selection would be all of them.');
    const ended = endSelectedTokens(context, and(selected(selection), withinReach(who)), by.at);
    recordTokensEnded(context, by, who, selection, ended);
    return summary(ended);
  },
  ({ selection }) => selection.token ?? selection.run ?? selection.grant ?? selection.person,
);

/** Records that a selection of tokens was ended. What ended nothing leaves no entry. */
export function recordTokensEnded(
  context: WriterContext,
  by: By,
  who: Authorised,
  selection: TokenSelection,
  { live, rows }: EndedTokens,
): void {
  if (rows.length === 0) return;
  context.append({
    id: by.entryId,
    kind: 'tokens.revoked',
    at: by.at,
    actor: who.actor,
    ref: selection.token ?? selection.run ?? selection.grant ?? selection.person,
    lab: onlyOne(rows.map((token) => token.labId)),
    person: onlyOne(rows.map((token) => token.personId)),
    grant: onlyOne(rows.map((token) => token.grantId)),
    data: { selection: { ...selection } as Json, reach: who.reach, tokensEnded: live },
  });
}

export function summary({ live, rows }: EndedTokens): TokensEnded {
  return { ended: live, tokenIds: rows.map((token) => token.id) };
}

function selected({ token, grant, person, run, lab, key }: TokenSelection): SQL | undefined {
  return and(
    token === undefined ? undefined : eq(tokens.id, token),
    grant === undefined ? undefined : eq(tokens.grantId, grant),
    person === undefined ? undefined : eq(tokens.personId, person),
    run === undefined ? undefined : eq(tokens.runId, run),
    lab === undefined ? undefined : eq(tokens.labId, lab),
    key === undefined ? undefined : eq(tokens.kid, key),
  );
}

function withinReach({ reach, member }: Authorised): SQL | undefined {
  switch (reach) {
    case 'all':
      return undefined;
    case 'lab':
      return eq(tokens.labId, member.lab.id);
    case 'self':
      return eq(tokens.personId, member.person.id);
  }
}

/** What all of them have in common, if it is one thing. */
function onlyOne(values: (string | null)[]): string | undefined {
  const [first, ...others] = new Set(values);
  return others.length === 0 ? (first ?? undefined) : undefined;
}
