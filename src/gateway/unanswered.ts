/** How a request ends that got no answer: recorded, and said. */
import { RefusedError, refusal, type Refusal } from '../core/denials.ts';
import type { RequestEnd } from '../core/requests.ts';
import { sendRefusal } from './error-body.ts';
import { Ended } from './ended.ts';
import { NO_USAGE, endOf, usageFrom, type Exchange } from './exchange.ts';
import { UpstreamFailure } from './upstream-failure.ts';
import { AnswerUnusable } from './whole-answer.ts';

/**
 * Settles a request unless that is done, and tells the client why it gets no answer.
 *
 * @param forwarded whether a byte of it may have left
 */
export async function endUnanswered(
  exchange: Exchange,
  error: unknown,
  forwarded: boolean,
): Promise<void> {
  const { requestBytes } = exchange.parts;
  const reason = reasonOf(error, exchange);
  // It may have reached the upstream, and been paid for: not to be tried again by itself.
  if (exchange.isSettled) return tell(exchange, reason, { retry: false });
  const { end, why, mayHaveArrived } = endedBy(error, reason, exchange, forwarded);
  try {
    await exchange.settle({
      end,
      why: end === 'client_gone' ? undefined : why,
      usage: mayHaveArrived ? usageFrom({}, requestBytes, exchange.receivedBytes) : NO_USAGE,
      forwarded: mayHaveArrived,
    });
  } catch (failure) {
    return tell(exchange, reasonOf(failure, exchange), { retry: false });
  }
  tell(exchange, why);
}

function tell({ parts }: Exchange, why: Refusal, options?: { retry: boolean }): void {
  const { res, requestId } = parts;
  if (res.destroyed) return;
  if (!res.headersSent) sendRefusal(res, why, requestId, options);
  // An answer that has begun must not look whole.
  else if (!res.writableEnded) res.destroy();
}

function reasonOf(error: unknown, { parts }: Exchange): Refusal {
  const { cancellation, requestId } = parts;
  if (
    error instanceof AnswerUnusable ||
    error instanceof RefusedError ||
    error instanceof UpstreamFailure
  )
    return error.refusal;
  if (cancellation.isCancelled && error === cancellation.reason) return Ended.from(error).why;
  parts.broker.log.error(
    { requestId, err: error instanceof Error ? error.stack : error },
    'a request failed',
  );
  return refusal('unexpected');
}

function endedBy(
  error: unknown,
  reason: Refusal,
  { parts: { cancellation } }: Exchange,
  forwarded: boolean,
): { end: RequestEnd; why: Refusal; mayHaveArrived: boolean } {
  const mayHaveArrived = error instanceof UpstreamFailure ? error.mayHaveArrived : forwarded;
  const { end, why } = cancellation.isCancelled
    ? Ended.from(cancellation.reason)
    : { end: endOf(reason.code), why: reason };
  return { end: mayHaveArrived ? end : 'not_forwarded', why, mayHaveArrived };
}
