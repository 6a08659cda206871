/** What the two entries of a request do to the ledger. Nothing but what they say, so that they can be done again. */
import type { WriterContext } from './context.ts';
import type { Closing, OpenRequest } from './request-rows.ts';

/** Reserves what a request may use. */
export function openRequest(context: WriterContext, request: OpenRequest, salt: Uint8Array): void {
  const { account, admittedAt, reserved } = request;
  context.openRow(request, salt);
  context.ledger.change(account, {
    admittedAt,
    charged: {
      requestsSettled: 0,
      requestsReserved: 1,
      tokensSettled: 0,
      tokensReserved: reserved.tokens,
      spendSettledNanoUsd: 0,
      spendReservedNanoUsd: reserved.spendNanoUsd,
    },
    counted: { requests: 1, tokens: reserved.tokens },
  });
}

/** Charges what a request used in place of what was reserved for it. */
export function closeRequest(
  context: WriterContext,
  { facts, account, admittedAt, reserved }: OpenRequest,
  closing: Closing,
): void {
  const { charge } = closing;
  context.closeRow(facts.requestId, closing);
  context.ledger.change(account, {
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
}
