/** Ending any selection of tokens; handing back a run, or a person's access. */
import type { HandedBack } from '../store/operations/hand-back.ts';
import type { RunEnded } from '../store/operations/end-run.ts';
import type { TokenSelection, TokensEnded } from '../store/operations/revoke-tokens.ts';
import type { Broker } from './broker.ts';
import { by } from './by.ts';

/** With how many requests in flight it cut. */
type WithCuts<T extends TokensEnded> = Omit<T, 'tokenIds'> & { cut: number };

/**
 * Ends every token of a selection within the actor's reach. When it returns, nothing passes with them and
 * their streams have been cut.
 */
export async function revokeTokens(
  broker: Broker,
  actorId: string,
  selection: TokenSelection,
): Promise<WithCuts<TokensEnded> & { warning: string | undefined }> {
  const who = by(broker, actorId);
  const ended = await broker.store.write('revokeTokens', { by: who, selection });
  // What is beyond the actor's reach looks like what is not there.
  const warning = ended.tokenIds.length === 0 ? NOTHING_ENDED : undefined;
  return { ...withCuts(broker, ended), warning };
}

const NOTHING_ENDED =
  'No token that you may end matches, or those that do are over already. Look for typing errors, and at what there is with "sallyport token list --live".';

/** Ends a run, or the actor's part in one that somebody else began. */
export async function endRun(
  broker: Broker,
  actorId: string,
  runId: string,
): Promise<WithCuts<RunEnded>> {
  return withCuts(broker, await broker.store.write('endRun', { by: by(broker, actorId), runId }));
}

/** Gives up a person's place on a grant, or on every grant, for good; their tokens under it end. */
export async function handBackAccess(
  broker: Broker,
  actorId: string,
  input: { personId: string; grantId?: string | undefined },
): Promise<WithCuts<HandedBack>> {
  const who = by(broker, actorId);
  return withCuts(broker, await broker.store.write('handBackAccess', { by: who, ...input }));
}

/** The store has applied what the operation changed, so what it cut is known by now. */
function withCuts<T extends TokensEnded>(
  { live }: Broker,
  { tokenIds, ...result }: T,
): WithCuts<T> {
  return { ...result, cut: live.cutsWith(tokenIds).length };
}
