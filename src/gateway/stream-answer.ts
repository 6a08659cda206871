/** Answers that are a stream of events. */
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import type { Dispatcher } from 'undici';
import { RefusedError, refusal, type Refusal } from '../core/denials.ts';
import type { JsonObject } from '../core/scope/inspection.ts';
import { parseObject, type StreamScanner } from './dialects/dialect.ts';
import { Ended, endOf, usageFrom, type Exchange } from './exchange.ts';
import { EventSplitter, EventTooLong, dataOf } from './sse.ts';
import { UpstreamFailure, failureOf, type Upstream } from './upstream.ts';

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
  answer: Dispatcher.ResponseData,
  asked: JsonObject,
  upstream: Upstream,
): Promise<void> {
  const { dialect, res, headers, requestId, signal } = exchange.parts;
  const scanner = dialect.scanner(asked);
  const meter = { bytes: 0 };
  res.writeHead(200, {
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-store',
    ...headers,
  });
  res.flushHeaders();
  try {
    const last = await passEvents(exchange, answer, scanner, meter);
    if (last === undefined)
      throw new UpstreamFailure(refusal('upstream_incomplete'), true, undefined);
    await exchange.settle({
      end: last.isError ? 'upstream_error' : 'completed',
      upstreamStatus: answer.statusCode,
      usage: usageFrom(scanner.usage(), exchange.parts.requestBytes, meter.bytes),
      forwarded: true,
      modelAnswered: scanner.model(),
    });
    // An order can have come while the outcome was recorded.
    signal.throwIfAborted();
    res.end(isFit(last, upstream) ? last.event : dialect.errorEvent(UNFIT, requestId));
  } catch (error) {
    const ended = signal.aborted ? Ended.from(signal.reason) : endedBy(error);
    answer.body.on('error', () => undefined).destroy();
    const settled = exchange.settle({
      end: ended.end,
      why: ended.end === 'client_gone' ? undefined : ended.why,
      upstreamStatus: answer.statusCode,
      usage: usageFrom(scanner.usage(), exchange.parts.requestBytes, meter.bytes),
      forwarded: true,
      modelAnswered: scanner.model(),
    });
    const recorded = settled.catch(() => undefined);
    const patience = delay(LOG_PATIENCE_MS, undefined, { ref: false });
    await (ended.end === 'cut' ? Promise.race([recorded, patience]) : recorded);
    endWithError(exchange, ended.why);
    await settled;
  }
}

interface LastEvent {
  event: Buffer;
  isError: boolean;
}

const UNFIT = refusal('upstream_incomplete', 'The model endpoint ended its answer with an error.');

/** Whether a last event may be passed on: an error that quotes the host's credential may not. */
function isFit({ event, isError }: LastEvent, upstream: Upstream): boolean {
  if (!isError) return true;
  const resolved = JSON.stringify(parseObject(dataOf(event)) ?? event.toString('utf8'));
  return !upstream.quotesCredential(resolved);
}

/** Passes events on until the terminal one, which it hands back. Undefined: the upstream ended without one. */
async function passEvents(
  exchange: Exchange,
  answer: Dispatcher.ResponseData,
  scanner: StreamScanner,
  meter: { bytes: number },
): Promise<LastEvent | undefined> {
  const { res, signal } = exchange.parts;
  const splitter = new EventSplitter();
  const ready: Buffer[] = [];
  const look = (event: Buffer): LastEvent | undefined => {
    const verdict = scanner.see(event);
    if (verdict === 'terminal' || verdict === 'error')
      return { event, isError: verdict === 'error' };
    if (verdict === 'pass') {
      meter.bytes += contentBytes(event);
      ready.push(event);
    }
    return undefined;
  };
  // Not destroyed where the loop ends early: behind the terminal event, the connection is still good.
  const chunks = answer.body.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>;
  for await (const chunk of chunks) {
    exchange.received(chunk);
    for (const event of splitter.push(chunk)) {
      const last = look(event);
      if (last) {
        await writeAll(res, ready, signal);
        letFinish(answer.body);
        return last;
      }
    }
    await writeAll(res, ready, signal);
  }
  const rest = splitter.end();
  const last = rest && look(rest);
  await writeAll(res, ready, signal);
  return last;
}

/** Writes events and waits while the client is slower than the upstream; the wait ends with the signal. */
async function writeAll(res: ServerResponse, events: Buffer[], signal: AbortSignal): Promise<void> {
  if (events.length === 0) return;
  const bytes = events.length === 1 ? (events[0] as Buffer) : Buffer.concat(events);
  events.length = 0;
  signal.throwIfAborted();
  if (!res.write(bytes)) await once(res, 'drain', { signal });
}

/** Reads off what follows the terminal event, so that the connection can carry the next request. */
function letFinish(body: Readable): void {
  const timer = setTimeout(() => body.destroy(), LINGER_MS);
  body
    .on('error', () => undefined)
    .once('close', () => clearTimeout(timer))
    .resume();
}

const TEXT_FOLLOWS =
  /"(?:content|text|thinking|reasoning|reasoning_content|refusal|arguments|partial_json)"\s*:\s*"/g;

/** How much of an event is the model's text, roughly: for estimates where the upstream reports no usage. */
function contentBytes(event: Buffer): number {
  let total = 0;
  const text = event.toString('latin1');
  for (const { 0: key, index } of text.matchAll(TEXT_FOLLOWS)) {
    const start = index + key.length;
    let end = start;
    while (end < text.length && text[end] !== '"') end += text[end] === '\\' ? 2 : 1;
    // A token of text at least: short deltas are one token each.
    if (end > start) total += Math.max(4, end - start);
  }
  return total;
}

function endWithError({ parts: { dialect, res, requestId } }: Exchange, why: Refusal): void {
  if (res.destroyed) return;
  res.end(dialect.errorEvent(why, requestId));
  const timer = setTimeout(() => res.destroy(), LINGER_MS);
  res.once('close', () => clearTimeout(timer));
}

function endedBy(error: unknown): { end: ReturnType<typeof endOf>; why: Refusal } {
  if (error instanceof UpstreamFailure)
    return { end: endOf(error.refusal.code), why: error.refusal };
  // The terminal event stays back: the outcome is not durable yet.
  if (error instanceof RefusedError) return { end: 'completed', why: error.refusal };
  if (error instanceof EventTooLong)
    return { end: 'upstream_error', why: refusal('upstream_invalid') };
  const failure = failureOf(error);
  return { end: endOf(failure.refusal.code), why: failure.refusal };
}
