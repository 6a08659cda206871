/** The two entries of a proxied request, each in one transaction with the usage ledger. */
import type { EntryDraft, Json } from '../../core/audit/entry.ts';
import { RefusedError, type Refusal } from '../../core/denials.ts';
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
import type { OpenRequest, WriterContext } from '../context.ts';
import { scopesOf } from '../ledger.ts';
import { closeRow, findOpen, insertOpen, listOpen } from '../request-rows.ts';
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
  decidesFirst: true,
  run(context, { epoch, at, entryId, facts, caps, amount, salt, data }) {
    if (epoch !== context.epoch) return { stale: true };
    const { grantId, personId } = facts;
    const why = checkAllCaps(standing(context, facts, caps, at), amount);
    if (why) throw new RefusedError(why);
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
    const request: OpenRequest = { facts, admittedAt: at, reserved: amount };
    insertOpen(context.db, request, salt);
    context.ledger.change({
      grantId,
      personId,
      admittedAt: at,
      charged: {
        requestsSettled: 0,
        requestsReserved: 1,
        tokensSettled: 0,
        tokensReserved: amount.tokens,
        spendSettledNanoUsd: 0,
        spendReservedNanoUsd: amount.spendNanoUsd,
      },
      counted: { requests: 1, tokens: amount.tokens },
    });
    context.open.set(facts.requestId, request);
    context.changedMemory(() => context.open.delete(facts.requestId));
    return { stale: false, intentIndex, limits: limitStates(standing(context, facts, caps, at)) };
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
  decidesFirst: true,
  run(context, args) {
    const request = context.open.get(args.requestId) ?? findOpen(context.db, args.requestId);
    return { outcomeIndex: settleOne(context, request, args, 'settled') };
  },
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
    const open = listOpen(context.db, entryIds.length);
    for (const [i, request] of open.entries()) {
      const { requestId } = request.facts;
      const args: SettleArgs = {
        requestId,
        at,
        entryId: entryIds[i] as string,
        end: 'unknown',
        usage: { inputTokens: 0, outputTokens: 0, source: 'reserved' },
        charge: { requests: 1, ...request.reserved },
        data: { recovered: true },
      };
      settleOne(context, request, args, 'unknown');
    }
    return { recovered: open.length, complete: open.length < entryIds.length };
  },
};

function settleOne(
  context: WriterContext,
  request: OpenRequest,
  args: SettleArgs,
  state: 'settled' | 'unknown',
): number {
  const { facts, admittedAt, reserved } = request;
  const { charge, end, usage } = args;
  const result = {
    end,
    usage: {
      inputTokens: usage.inputTokens,
      outputTokens: usage.outputTokens,
      source: usage.source,
    },
    charged: {
      requests: charge.requests,
      tokens: charge.tokens,
      spendNanoUsd: charge.spendNanoUsd,
    },
    overrun: charge.tokens > reserved.tokens ? true : undefined,
  };
  const entry: EntryDraft = {
    id: args.entryId,
    kind: 'request.outcome',
    at: args.at,
    ...requestEntryParts(facts),
    reason: args.why?.code,
    orders: args.why?.orders,
    data: { ...args.data, ...result },
  };
  // A request must end, however many orders ended it.
  const index = context.appendEither(entry, { ...entry, orders: undefined, data: result });
  closeRow(context.db, facts.requestId, { state, at: args.at, charge });
  context.ledger.change({
    grantId: facts.grantId,
    personId: facts.personId,
    admittedAt,
    charged: {
      requestsSettled: charge.requests,
      requestsReserved: -1,
      tokensSettled: charge.tokens,
      tokensReserved: -reserved.tokens,
      spendSettledNanoUsd: charge.spendNanoUsd,
      spendReservedNanoUsd: -reserved.spendNanoUsd,
    },
    counted: { requests: charge.requests - 1, tokens: charge.tokens - reserved.tokens },
  });
  if (context.open.delete(facts.requestId))
    context.changedMemory(() => context.open.set(facts.requestId, request));
  return index;
}

/** How the caps over a request stand: those of its grant, and of its person. */
function standing(
  context: WriterContext,
  { grantId, personId }: RequestFacts,
  caps: ReserveArgs['caps'],
  at: number,
): { use: ScopeUse; caps: ScopeCaps }[] {
  return scopesOf(grantId, personId).map((scope, i) => {
    const over = caps[i] as ScopeCaps;
    const { requestsPerDay, tokensPerDay } = over.budgets;
    const day = requestsPerDay !== null || tokensPerDay !== null;
    return { use: context.ledger.use(scope, at, { day }), caps: over };
  });
}
