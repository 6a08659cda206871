/** Admitting a request to a protected endpoint: decide, reserve, record; in this order, or not at all. */
import { decideAccess, type Decision } from '../core/access.ts';
import type { EntryDraft, Json } from '../core/audit/entry.ts';
import { RefusedError, refusal, type Refusal } from '../core/denials.ts';
import type { Effect } from '../core/orders/effect.ts';
import type { Order } from '../core/orders/order.ts';
import { scaledCaps } from '../core/orders/scaled-caps.ts';
import type { Grant } from '../core/grants.ts';
import type { Amount, ScopeCaps } from '../core/limits.ts';
import { requestEntryParts, requestSubject, type RequestFacts } from '../core/requests.ts';
import type { Cancellation } from '../lib/cancellation.ts';
import { mintId } from '../lib/ids.ts';
import type { ReserveArgs, Reserved } from '../store/operations/requests.ts';
import type { Broker } from './broker.ts';
import type { LiveRequest } from './live-requests.ts';
import type { Room } from './repeated-denials.ts';
import { MOST_ATTEMPTS } from './issue-token.ts';
import { ordersOnRequest } from './orders-on-request.ts';

export interface AdmitInput {
  facts: RequestFacts;
  /** Address that the request came from. */
  address: string;
  amount: Amount;
  /** Salt of the commitments to the bodies, 16 bytes in base64; empty where it is kept with a transcript. */
  salt: string;
  /** What else the intent says: see {@link askedMembers}. */
  data: string;
  /** Cancelled, with a Refusal as its reason, when the request may not go on. */
  cancellation: Cancellation;
  /** Called when it has been decided that the request may pass, before it is known whether it can be reserved. */
  whileReserving?(): void;
}

export interface Admitted {
  limits: Reserved['limits'];
  /** Until it leaves {@link LiveRequests}, orders find it. */
  live: LiveRequest;
}

/**
 * Admits a request. When this returns, its intent is durable, its cost is reserved, it is known as live
 * (orders find it), and it may be forwarded. Whoever calls this must call {@link Settler.settle} later, and let it
 * leave what is live when its answer has gone out.
 *
 * @throws RefusedError after the refusal was recorded
 */
export async function admitRequest(broker: Broker, input: AdmitInput): Promise<Admitted> {
  const { facts, address, cancellation } = input;
  const { policy, clock } = broker;
  const { requestId, personId, labId, grantId, tokenId, stream } = facts;
  const decide = (now: number, orders = policy.orders): Decision =>
    decideRequest(broker, facts, address, orders, now);
  const ids = { requestId, grantId, personId, labId, tokenId };
  const live: LiveRequest = {
    requestId,
    personId,
    grantId,
    tokenId,
    stream,
    decide,
    cancellation,
    slot: -1,
  };
  try {
    for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt += 1) {
      const epoch = policy.epoch;
      const at = clock();
      const decision = isExpired(broker, facts, at) ? EXPIRED : decide(at);
      if (!decision.allowed)
        return await denyRequest(broker, requestEntryParts(facts), decision.refusal, dataOf(input));
      broker.live.enter(live, decision.until);
      const room = broker.repeatedDenials.take(tokenId);
      input.whileReserving?.();
      const reserving = broker.store.write(
        'reserve',
        {
          epoch,
          at,
          entryId: mintId('ent', at),
          facts: ids,
          subject: requestSubject(facts),
          ...capsOf(policy.grant(grantId) as Grant, ordersOnRequest(broker, facts, address).scales),
          amount: input.amount,
          salt: input.salt,
          data: input.data,
          stream,
          recordRefusal: room !== undefined,
        },
        // The caller has been told 503 and nothing was forwarded: the reservation goes back.
        {
          late: (value) =>
            !value.stale && broker.settler.giveBack(requestId, 'The log answered too late.'),
        },
      );
      const reserved = await recordedIfRefused(broker, input, room, reserving);
      if (!reserved.stale) return { limits: reserved.limits, live };
    }
    return await denyRequest(broker, requestEntryParts(facts), refusal('too_busy'), dataOf(input));
  } catch (error) {
    broker.live.leave(live);
    throw error;
  }
}

/**
 * Records a refusal of an authenticated caller, or counts it where their token has been refused too often of late;
 * then throws it. If it cannot be recorded: `log_unavailable`.
 */
export async function denyRequest(
  broker: Broker,
  parts: Omit<EntryDraft, 'id' | 'kind' | 'at'> & { token: string },
  why: Refusal,
  data: Record<string, Json | undefined> = {},
  wanted?: Amount,
): Promise<never> {
  const { repeatedDenials, store } = broker;
  const room = repeatedDenials.take(parts.token);
  if (!room) {
    repeatedDenials.count(parts, why.code);
    throw new RefusedError(why);
  }
  const at = broker.clock();
  const entry: EntryDraft = {
    ...parts,
    id: mintId('ent', at),
    kind: 'request.denied',
    at,
    decision: 'denied',
    reason: why.code,
    orders: why.orders,
    data: {
      ...data,
      message: why.message,
      param: why.param,
      wanted: wanted && { tokens: wanted.tokens, spendNanoUsd: wanted.spendNanoUsd },
    },
  };
  try {
    await store.write('recordEntry', { entry });
  } catch (error) {
    repeatedDenials.giveBack(room);
    throw error;
  }
  throw new RefusedError(why);
}

/**
 * Sees a reservation through that may be refused.
 *
 * @param room in which the writer records a refusal; where there was none, it is recorded or counted here
 */
async function recordedIfRefused<T>(
  broker: Broker,
  input: AdmitInput,
  room: Room | undefined,
  reserving: Promise<T>,
): Promise<T> {
  try {
    const reserved = await reserving;
    if (room) broker.repeatedDenials.giveBack(room);
    return reserved;
  } catch (error) {
    const why = error instanceof RefusedError ? error.refusal : undefined;
    const isDenial = why !== undefined && why.code !== 'log_unavailable';
    if (room && !isDenial) broker.repeatedDenials.giveBack(room);
    if (room || !isDenial) throw error;
    const parts = requestEntryParts(input.facts);
    return await denyRequest(broker, parts, why, dataOf(input), input.amount);
  }
}

/** For an entry that is not the writer's to put together. */
const dataOf = ({ data }: AdmitInput): Record<string, Json> =>
  JSON.parse(`{${data}}`) as Record<string, Json>;

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
  orders: readonly Order[],
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
      person: member.person,
      lab: member.lab,
      purpose,
      runId: facts.runId,
      tokenId: facts.tokenId,
      features: facts.features,
      restored: facts.restored,
      operation,
      endpoint,
      model,
      address,
      narrowing: token.narrowing,
      bound: token.jkt !== null,
      orders,
      configured: broker.configured,
    },
    now,
  );
}

type Caps = Pick<ReserveArgs, 'caps' | 'capsNumber'>;

const written = new WeakMap<Grant, Caps>();
let lastNumber = 0;

/** The caps of a grant and of each person under it, as the store takes them: written once for each state of a grant. */
function capsOf(grant: Grant, scales: Effect['scales']): Caps {
  let known = scales.length > 0 ? undefined : written.get(grant);
  if (known === undefined) {
    const { limits, budgets, perPerson } = grant.spec;
    const caps: [ScopeCaps, ScopeCaps] = [
      { scope: 'grant', limits, budgets },
      { scope: 'person', ...perPerson },
    ];
    known = { caps: JSON.stringify(scaledCaps(caps, scales)), capsNumber: (lastNumber += 1) };
    if (scales.length === 0) written.set(grant, known);
  }
  return known;
}
