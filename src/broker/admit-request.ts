/** Admitting a request to a protected endpoint: decide, reserve, record; in this order, or not at all. */
import { decideAccess, type Decision } from '../core/access.ts';
import type { EntryDraft, Json } from '../core/audit/entry.ts';
import { RefusedError, refusal, type Refusal } from '../core/denials.ts';
import type { Grant } from '../core/grants.ts';
import type { Amount, ScopeCaps } from '../core/limits.ts';
import { requestEntryParts, type RequestFacts } from '../core/requests.ts';
import { mintId } from '../lib/ids.ts';
import type { Reserved } from '../store/operations/requests.ts';
import type { Broker } from './broker.ts';
import { MOST_ATTEMPTS } from './issue-token.ts';

export interface AdmitInput {
  facts: RequestFacts;
  /** Address that the request came from. */
  address: string;
  amount: Amount;
  /** Salt of the commitments to the bodies, 16 bytes. */
  salt: Uint8Array;
  /** Further facts for the intent entry. */
  data: Record<string, Json | undefined>;
  /** Aborted, with a Refusal as its reason, when the request may not go on. */
  abort: AbortController;
}

/**
 * Admits a request. When this returns, its intent is durable, its cost is reserved, it is known as live
 * (orders find it), and it may be forwarded. Whoever calls this must call {@link Settler.settle} later.
 *
 * @throws RefusedError after the refusal was recorded
 */
export async function admitRequest(broker: Broker, input: AdmitInput): Promise<Reserved> {
  const { facts, abort } = input;
  const { live, policy, clock } = broker;
  const decide = (now: number): Decision => decideRequest(broker, facts, input.address, now);
  try {
    for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt += 1) {
      const epoch = policy.epoch;
      const at = clock();
      const decision = isExpired(broker, facts, at) ? EXPIRED : decide(at);
      if (!decision.allowed)
        return await denyRequest(broker, requestEntryParts(facts), decision.refusal, input.data);
      const { requestId, personId, grantId, tokenId, stream } = facts;
      live.enter(
        { requestId, personId, grantId, tokenId, startedAt: at, stream, decide, abort },
        decision.until,
      );
      const reserved = await broker.store.write(
        'reserve',
        {
          epoch,
          at,
          entryId: mintId('ent', at),
          facts,
          caps: capsOf(policy.grant(grantId) as Grant),
          amount: input.amount,
          salt: input.salt,
          data: input.data,
        },
        // The caller has been told 503 and nothing was forwarded: the reservation goes back.
        {
          late: (value) =>
            !value.stale && broker.settler.giveBack(facts.requestId, 'The log answered too late.'),
        },
      );
      if (!reserved.stale) return reserved;
    }
    return await denyRequest(broker, requestEntryParts(facts), refusal('too_busy'), input.data);
  } catch (error) {
    live.leave(facts.requestId);
    throw error;
  }
}

/** Records a refusal of an authenticated caller, then throws it. If it cannot be recorded: `log_unavailable`. */
export async function denyRequest(
  broker: Broker,
  parts: Omit<EntryDraft, 'id' | 'kind' | 'at'>,
  why: Refusal,
  data: Record<string, Json | undefined> = {},
): Promise<never> {
  const at = broker.clock();
  await broker.store.write('recordEntry', {
    entry: {
      ...parts,
      id: mintId('ent', at),
      kind: 'request.denied',
      at,
      decision: 'denied',
      reason: why.code,
      orders: why.orders,
      data: { ...data, message: why.message, param: why.param },
    },
  });
  throw new RefusedError(why);
}

const EXPIRED: Decision = { allowed: false, refusal: refusal('token_expired') };

/**
 * A token authorises the beginning of a request: one that ran out while the body arrived begins nothing. A
 * stream that has begun may outlive it, so that clients can renew tokens unnoticed.
 */
function isExpired({ policy }: Broker, { tokenId }: RequestFacts, now: number): boolean {
  const token = policy.token(tokenId);
  return token !== undefined && token.expiresAt <= now;
}

function decideRequest(
  broker: Broker,
  facts: RequestFacts,
  address: string,
  now: number,
): Decision {
  const { policy } = broker;
  const member = policy.member(facts.personId);
  const token = policy.token(facts.tokenId);
  if (!member)
    return {
      allowed: false,
      refusal: { code: 'invalid_token', message: 'The person is not known.' },
    };
  if (!token) return { allowed: false, refusal: refusal('invalid_token') };
  if (token.revokedAt !== null) return { allowed: false, refusal: refusal('token_revoked') };
  const { purpose, operation, endpoint, model } = facts;
  return decideAccess(
    {
      grant: policy.grant(facts.grantId),
      ...member,
      purpose,
      operation,
      endpoint,
      model,
      address,
      narrowing: token.narrowing,
      bound: token.jkt !== null,
      orders: policy.orders,
    },
    now,
  );
}

function capsOf({ spec }: Grant): [ScopeCaps, ScopeCaps] {
  return [
    { scope: 'grant', limits: spec.limits, budgets: spec.budgets },
    { scope: 'person', ...spec.perPerson },
  ];
}
