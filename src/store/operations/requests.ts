/** The two entries of a proxied request, each in one transaction with the usage ledger. */
import { eq, sql } from 'drizzle-orm';
import type { Json } from '../../core/audit/entry.ts';
import { RefusedError, refuse, type Refusal } from '../../core/denials.ts';
import {
  checkAllCaps,
  limitStates,
  type Amount,
  type LimitState,
  type ScopeCaps,
  type ScopeUse,
} from '../../core/limits.ts';
import {
  requestEntryParts,
  type Charge,
  type RequestEnd,
  type RequestFacts,
  type Usage,
} from '../../core/requests.ts';
import type { WriterContext } from '../context.ts';
import { scopesOf } from '../ledger.ts';
import { requests } from '../schema.ts';
import type { Operation } from './operation.ts';

export interface ReserveArgs {
  /** The epoch of the facts that the access decision rests on. */
  epoch: number;
  at: number;
  entryId: string;
  facts: RequestFacts;
  /** Caps of the grant and of the person, in this order. */
  caps: [ScopeCaps, ScopeCaps];
  amount: Amount;
  /** Salt of the commitments in the entries of this request, 16 bytes. */
  salt: Uint8Array;
  /** What else the intent entry says: safeguards lifted, features used, commitment to the body. */
  data: Record<string, Json | undefined>;
}

export interface Reserved {
  stale: false;
  intentIndex: number;
  limits: { requests: LimitState | null; tokens: LimitState | null };
}

/**
 * Checks budgets and limits, reserves, and records the intent. When this has returned, the intent is
 * durable and the request may be forwarded: a crash from here on leaves an open row, which recovery
 * closes as unknown at its full reservation. `stale`: policy changed since the decision; decide again.
 */
export const reserve: Operation<ReserveArgs, { stale: true } | Reserved> = {
  run(context, { epoch, at, entryId, facts, caps, amount, salt, data }) {
    if (epoch !== context.epoch) return { stale: true };
    const { ledger } = context;
    const scopes = scopesOf(facts.grantId, facts.personId).map((scope, i) => ({
      scope,
      caps: caps[i] as ScopeCaps,
    }));
    const stand = (): { use: ScopeUse; caps: ScopeCaps }[] =>
      scopes.map(({ scope, caps: scopeCaps }) => {
        const { requestsPerDay, tokensPerDay } = scopeCaps.budgets;
        const day = requestsPerDay !== null || tokensPerDay !== null;
        return { use: ledger.use(scope, at, { day }), caps: scopeCaps };
      });
    const why = checkAllCaps(stand(), amount);
    if (why) throw new RefusedError(why);
    insertRequest(context, facts, amount, salt, at);
    ledger.charge(facts.grantId, facts.personId, {
      requestsSettled: 0,
      requestsReserved: 1,
      tokensSettled: 0,
      tokensReserved: amount.tokens,
      spendSettledNanoUsd: 0,
      spendReservedNanoUsd: amount.spendNanoUsd,
    });
    const intentIndex = context.append({
      id: entryId,
      kind: 'request.intent',
      at,
      ...requestEntryParts(facts),
      decision: 'allowed',
      data: {
        ...data,
        stream: facts.stream,
        reserved: { tokens: amount.tokens, spendNanoUsd: amount.spendNanoUsd },
      },
    });
    ledger.count(facts.grantId, facts.personId, at, 1, amount.tokens);
    return { stale: false, intentIndex, limits: limitStates(stand()) };
  },
  denied: (_context, { entryId, at, facts, amount, data }, why) => ({
    id: entryId,
    kind: 'request.denied',
    at,
    ...requestEntryParts(facts),
    decision: 'denied',
    reason: why.code,
    data: {
      ...data,
      message: why.message,
      wanted: { tokens: amount.tokens, spendNanoUsd: amount.spendNanoUsd },
    },
  }),
};

export interface SettleArgs {
  requestId: string;
  at: number;
  entryId: string;
  end: RequestEnd;
  usage: Usage;
  charge: Charge;
  /** What the refusal or order was, where one ended the request. */
  why?: Refusal | undefined;
  data: Record<string, Json | undefined>;
}

/** Settles a request and records its outcome. Settling twice is refused: the second changes nothing. */
export const settle: Operation<SettleArgs, { outcomeIndex: number }> = {
  run: (context, args) => ({ outcomeIndex: settleOne(context, args, 'settled') }),
};

/**
 * Closes what a crash left open: the outcome is unknown and the whole reservation stays charged, since
 * the upstream may have used it.
 */
export const recoverUnfinished: Operation<
  { at: number; entryIds: string[] },
  { recovered: number; complete: boolean }
> = {
  run(context, { at, entryIds }) {
    const open = context.db
      .select()
      .from(requests)
      .where(sql`${requests.state} = 'open'`)
      .orderBy(requests.id)
      .limit(entryIds.length)
      .all();
    for (const [i, row] of open.entries()) {
      settleOne(
        context,
        {
          requestId: row.id,
          at,
          entryId: entryIds[i] as string,
          end: 'unknown',
          usage: { inputTokens: 0, outputTokens: 0, source: 'reserved' },
          charge: { requests: 1, tokens: row.tokensReserved, spendNanoUsd: row.spendReservedNano },
          data: { recovered: true },
        },
        'unknown',
      );
    }
    return { recovered: open.length, complete: open.length < entryIds.length };
  },
};

function settleOne(context: WriterContext, args: SettleArgs, state: 'settled' | 'unknown'): number {
  const row =
    context.db.select().from(requests).where(eq(requests.id, args.requestId)).get() ??
    refuse('not_found', 'There is no such request.');
  if (row.state !== 'open') refuse('already_decided', 'This request has been settled already.');
  const { charge, end } = args;
  context.db
    .update(requests)
    .set({
      state,
      settledAt: args.at,
      requests: charge.requests,
      tokensCharged: charge.tokens,
      spendChargedNano: charge.spendNanoUsd,
    })
    .where(eq(requests.id, row.id))
    .run();
  context.ledger.charge(row.grantId, row.personId, {
    requestsSettled: charge.requests,
    requestsReserved: -1,
    tokensSettled: charge.tokens,
    tokensReserved: -row.tokensReserved,
    spendSettledNanoUsd: charge.spendNanoUsd,
    spendReservedNanoUsd: -row.spendReservedNano,
  });
  const index = context.append({
    id: args.entryId,
    kind: 'request.outcome',
    at: args.at,
    ...requestEntryParts(row.intent),
    reason: args.why?.code,
    orders: args.why?.orders,
    data: {
      ...args.data,
      end,
      usage: {
        inputTokens: args.usage.inputTokens,
        outputTokens: args.usage.outputTokens,
        source: args.usage.source,
      },
      charged: {
        requests: charge.requests,
        tokens: charge.tokens,
        spendNanoUsd: charge.spendNanoUsd,
      },
      overrun: charge.tokens > row.tokensReserved ? true : undefined,
    },
  });
  context.ledger.count(
    row.grantId,
    row.personId,
    row.admittedAt,
    charge.requests - 1,
    charge.tokens - row.tokensReserved,
  );
  return index;
}

function insertRequest(
  context: WriterContext,
  facts: RequestFacts,
  amount: Amount,
  salt: Uint8Array,
  at: number,
): void {
  context.db
    .insert(requests)
    .values({
      id: facts.requestId,
      grantId: facts.grantId,
      personId: facts.personId,
      tokenId: facts.tokenId,
      state: 'open',
      admittedAt: at,
      settledAt: null,
      requests: 1,
      tokensReserved: amount.tokens,
      spendReservedNano: amount.spendNanoUsd,
      tokensCharged: amount.tokens,
      spendChargedNano: amount.spendNanoUsd,
      intent: facts,
      salt: Buffer.from(salt),
    })
    .run();
}
