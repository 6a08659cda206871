/** Server-Sent Events (WHATWG HTML, section 9.2) of what somebody follows. */
import { Readable } from 'node:stream';
import type { FollowEvent } from '../broker/follow-log.ts';

/** A follower that takes nothing for so long is hung up on: their place may be wanted by others. */
const STALLED_MS = 30_000;

/** One event, with the index after which a follower goes on as its id. */
function eventText(event: FollowEvent): string {
  switch (event.kind) {
    case 'entry': {
      // An entry is JSON on one line: none of its characters ends the line of an event.
      const { index, bytes } = event.entry;
      return `id: ${index}\ndata: {"index":${index},"entry":${bytes.toString('utf8')}}\n\n`;
    }
    case 'position':
      // Without data nothing is dispatched, and the id holds all the same.
      return event.next === 0 ? ': at the beginning\n\n' : `id: ${event.next - 1}\n\n`;
    case 'end':
      return `event: end\ndata: ${JSON.stringify({ why: event.why })}\n\n`;
  }
}

/** The events as a stream that goes at the pace of its reader. @param gone aborted when the reader is */
export function eventStream(events: AsyncGenerator<FollowEvent>, gone: AbortController): Readable {
  let takenAt = performance.now();
  async function* texts(): AsyncGenerator<string> {
    for await (const event of events) {
      yield eventText(event);
      takenAt = performance.now();
    }
  }
  const stream = Readable.from(texts(), { highWaterMark: 16 });
  const watch = setInterval(() => {
    if (stream.readableLength > 0 && performance.now() - takenAt > STALLED_MS) stream.destroy();
  }, STALLED_MS / 4);
  stream.on('close', () => {
    clearInterval(watch);
    gone.abort();
  });
  return stream;
}
