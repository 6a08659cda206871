/** Reading tokens and runs, within the reader's reach, with the last use of each. */
import { refuse } from '../core/denials.ts';
import type { RunRow } from '../store/list-runs.ts';
import type { TokenRow } from '../store/list-tokens.ts';
import type { PageRequest, Searched } from '../store/page.ts';
import type { Broker } from './broker.ts';
import { mayRead, within } from './reach.ts';

export interface TokenQuery {
  grantId?: string | undefined;
  personId?: string | undefined;
  labId?: string | undefined;
  runId?: string | undefined;
  /** The key that they were obtained with. */
  kid?: string | undefined;
  vouchedBy?: 'person' | 'lab' | undefined;
  audience?: 'gateway' | 'control' | undefined;
  /** Only those neither expired nor revoked. */
  live?: boolean | undefined;
}

/** Tokens, newest first. */
export function listTokens(
  broker: Broker,
  actorId: string,
  page: PageRequest,
  { live, ...filter }: TokenQuery,
): Searched<TokenRow> {
  const { bounds } = mayRead(broker, actorId, 'token.read');
  const bounded = within(bounds, filter);
  if (!bounded) return NOTHING;
  const liveAt = live ? broker.clock() : undefined;
  const { found, searchedTo } = broker.readers.listTokens(page, { ...bounded, liveAt });
  const tokens = found.map((token) => ({
    ...token,
    lastUsedAt: later(token.lastUsedAt, broker.tokenUse.lastUse(token.id)),
  }));
  return { found: tokens, searchedTo };
}

const NOTHING = { found: [], searchedTo: null };

/** Runs, newest first: those that the reader may see, and of each what they may see. */
export function listRuns(
  broker: Broker,
  actorId: string,
  page: PageRequest,
  filter: {
    grantId?: string | undefined;
    /** Whoever began it or has, or had, a token of it. */
    personId?: string | undefined;
    /** Only those that have not been handed back. */
    open?: boolean | undefined;
  },
): Searched<RunRow> {
  return readRuns(broker, actorId, page, filter);
}

/** @throws RefusedError `not_found` */
export function showRun(broker: Broker, actorId: string, runId: string): RunRow {
  const { found } = readRuns(broker, actorId, { limit: 1 }, { id: runId });
  const [run] = found;
  return run ?? refuse('not_found');
}

function readRuns(
  broker: Broker,
  actorId: string,
  page: PageRequest,
  filter: { id?: string; grantId?: string | undefined; personId?: string | undefined },
): Searched<RunRow> {
  const { bounds } = mayRead(broker, actorId, 'run.read');
  const bounded = within(bounds, filter);
  if (!bounded) return NOTHING;
  const now = broker.clock();
  const seenBy = bounds.personId;
  const { found, searchedTo } = broker.readers.listRuns(page, { ...bounded, seenBy, now });
  const unwritten = unwrittenUses(broker, found, seenBy);
  const runs = found.map((run) => ({
    ...run,
    lastUsedAt: later(run.lastUsedAt, unwritten.get(run.id)),
  }));
  return { found: runs, searchedTo };
}

/** The last use of each run that the store may not know of yet. */
function unwrittenUses(
  { tokenUse, policy }: Broker,
  runs: readonly RunRow[],
  seenBy: string | undefined,
): Map<string, number> {
  const shown = new Map(runs.map((run) => [run.id, run]));
  const uses = new Map<string, number>();
  for (const [tokenId, at] of tokenUse.unwritten()) {
    const token = policy.token(tokenId);
    const run = shown.get(token?.runId ?? '');
    if (!run) continue;
    const isShown = seenBy === undefined || [run.personId, token?.personId].includes(seenBy);
    if (isShown) uses.set(run.id, Math.max(at, uses.get(run.id) ?? 0));
  }
  return uses;
}

/** The later of what the store has and what is noted; null: neither. */
function later(stored: number | null, noted: number | undefined): number | null {
  if (noted === undefined) return stored;
  return Math.max(noted, stored ?? 0);
}
