/** One turn of streams on one target. */
import { CHUNK_EVERY_MS, chatBody, contentEvent, endOfStream, eventsOf } from './chat.ts';
import type { Streams, StreamsRun } from './run-streams.ts';
import { requestTo, type Setting, type Target } from './targets.ts';

export type StreamsTurn = Pick<
  Streams,
  'lanes' | 'rampMs' | 'streamsEach' | 'countFromMs' | 'countUntilMs'
> & {
  /** Content events of each stream. */
  chunks: number;
};

/** Streams begin at this pace: to begin them all at once is another measurement. */
const BEGIN_A_SECOND = 1_000;

const SETTLED_AFTER_MS = 200;

/** So many streams at a time, gaps counted while all of them run and no new one begins. */
export function allAtOnce(lanes: number, countedMs: number): StreamsTurn {
  const rampMs = (lanes / BEGIN_A_SECOND) * 1_000;
  const countFromMs = rampMs + SETTLED_AFTER_MS;
  const countUntilMs = countFromMs + countedMs;
  const chunks = Math.ceil((countUntilMs + SETTLED_AFTER_MS) / CHUNK_EVERY_MS);
  return { lanes, rampMs, streamsEach: 1, countFromMs, countUntilMs, chunks };
}

/** @throws when an event is lost */
export function runStreamsOn(
  { clients, model }: Setting,
  target: Target,
  { chunks, ...turn }: StreamsTurn,
): Promise<StreamsRun> {
  const events = Array.from({ length: chunks }, (_, n) => contentEvent(model, n));
  return clients.ask<StreamsRun>({
    kind: 'streams',
    port: target.port,
    request: requestTo(target, chatBody(model, { stream: true, chunks })),
    expectedEvents: eventsOf(chunks),
    expectedBytes: events.join('').length + endOfStream(model).length,
    ...turn,
  } satisfies Streams);
}
