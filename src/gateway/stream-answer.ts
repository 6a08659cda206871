/** Answers that are a stream of events. */
import { setTimeout as delay } from 'node:timers/promises';
import { RefusedError, refusal, type Refusal } from '../core/denials.ts';
import type { RequestEnd } from '../core/requests.ts';
import type { JsonObject } from '../core/scope/inspection.ts';
import { writeHead } from './answer-head.ts';
import { Ended } from './ended.ts';
import { EventFilter } from './event-filter.ts';
import { EventWriter } from './event-writer.ts';
import { endOf, type Exchange, type Outcome } from './exchange.ts';
import { EventTooLong } from './sse.ts';
import type { UpstreamAnswer } from './upstream-answer.ts';
import { UpstreamFailure } from './upstream-failure.ts';
import type { Upstream } from './upstream.ts';

/** Whoever was told the end, or told us, and does not hang up is hung up on after this long. */
const LINGER_MS = 2_000;

/**
 * Nothing of the model's passes after a cut. The error event that says so waits for the outcome, but not
 * longer than this: a slow log must not keep a client from learning that its stream was cut.
 */
const LOG_PATIENCE_MS = 100;

/**
 * Passes a stream through event by event. The terminal event waits until the outcome is durable; whatever
 * ends the stream before it becomes an explicit error in the client's dialect, never a clean end.
 *
 * @param asked the client's body, which says whether it wants to see usage
 */
export async function sendStream(
  exchange: Exchange,
  answer: UpstreamAnswer,
  asked: JsonObject,
  upstream: Upstream,
): Promise<void> {
  const { operation, res, requestId, requestBytes, cancellation, keepAliveMs } = exchange.parts;
  const filter = new EventFilter(operation.scanner(asked), upstream);
  const outcome = (end: Outcome['end'], why?: Refusal): Outcome => ({
    end,
    why,
    upstreamStatus: answer.statusCode,
    usage: filter.usage(requestBytes),
    forwarded: true,
    modelAnswered: filter.model(),
    isQuoting: filter.isQuoting,
  });
  const headers = ['content-type', 'text/event-stream; charset=utf-8', 'cache-control', 'no-store'];
  writeHead(res, requestId, 200, exchange.addHeaders(headers));
  const writer = new EventWriter(res, { cancellation, keepAliveMs });
  try {
    const last = await passEvents(exchange, answer, writer, filter);
    writer.stop();
    await exchange.settle(outcome(last.isError ? 'upstream_error' : 'completed'));
    // An order can have come while the outcome was recorded.
    cancellation.throwIfCancelled();
    if (last.event === undefined) res.end(operation.dialect.errorEvent(FAILED, requestId));
    else res.end(last.event, 'latin1');
  } catch (error) {
    writer.stop();
    answer.destroy();
    const { end, why } = cancellation.isCancelled
      ? Ended.from(cancellation.reason)
      : endedBy(error, exchange);
    const settled = exchange.settle(outcome(end, end === 'client_gone' ? undefined : why));
    const recorded = settled.catch(() => undefined);
    const patience = delay(LOG_PATIENCE_MS, undefined, { ref: false });
    await (end === 'cut' ? Promise.race([recorded, patience]) : recorded);
    if (end === 'client_gone') res.destroy();
    else endWithError(exchange, why);
    await settled;
  }
}

/** In place of an error of the upstream that quotes the host's credential, or that SDKs would not hear. */
const FAILED = refusal('upstream_incomplete', 'The model endpoint ended its answer with an error.');

/**
 * Passes events on until the last one, which it hands back. What follows that is read off, so that the
 * connection can carry the next request.
 */
async function passEvents(
  exchange: Exchange,
  answer: UpstreamAnswer,
  writer: EventWriter,
  filter: EventFilter,
): Promise<NonNullable<EventFilter['last']>> {
  await answer.read((chunk) => {
    const room = exchange.received(chunk);
    const full = writer.write(filter.push(chunk));
    if (filter.last) answer.finish(LINGER_MS);
    return room && full ? Promise.all([room, full]).then(() => undefined) : (room ?? full);
  });
  void writer.write(filter.end());
  return filter.last ?? incomplete();
}

function incomplete(): never {
  throw new UpstreamFailure(refusal('upstream_incomplete'), true, undefined);
}

function endWithError({ parts: { operation, res, requestId } }: Exchange, why: Refusal): void {
  if (res.destroyed) return;
  res.end(operation.dialect.errorEvent(why, requestId));
  const timer = setTimeout(() => res.destroy(), LINGER_MS);
  res.once('close', () => clearTimeout(timer));
}

function endedBy(
  error: unknown,
  { parts: { broker, requestId } }: Exchange,
): { end: RequestEnd; why: Refusal } {
  if (error instanceof UpstreamFailure)
    return { end: endOf(error.refusal.code), why: error.refusal };
  // The terminal event stays back: the outcome is not durable yet.
  if (error instanceof RefusedError) {
    const { refusal: why } = error;
    return { end: why.code === 'transcript_unavailable' ? 'cut' : 'completed', why };
  }
  if (error instanceof EventTooLong)
    return { end: 'upstream_error', why: refusal('upstream_invalid') };
  broker.log.error(
    { requestId, err: error instanceof Error ? error.stack : error },
    'a stream failed',
  );
  return { end: 'upstream_error', why: refusal('unexpected') };
}
