/** One turn of streams on one target. */
import { chatBody, contentEvent, endOfStream, eventsOf } from './chat.ts';
import type { Streams, StreamsRun } from './run-streams.ts';
import { requestTo, type Setting, type Target } from './targets.ts';

export type StreamsTurn = Pick<
  Streams,
  'lanes' | 'rampMs' | 'streamsEach' | 'countFromMs' | 'countUntilMs'
> & {
  /** Content events of each stream. */
  chunks: number;
};

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
