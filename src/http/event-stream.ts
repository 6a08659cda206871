/** Server-Sent Events (WHATWG HTML, section 9.2) of what somebody follows. */
import { Readable } from 'node:stream';
import type { FollowEvent } from '../broker/follow-log.ts';

/** A follower that takes nothing for so long is hung up on: their place may be wanted by others. */
const STALLED_MS = 30_000;

const MOST_WAITING_BYTES = 65_536;

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

/** Events as a stream that goes at the pace of its reader. */
export class EventStream extends Readable {
  readonly #events: AsyncGenerator<FollowEvent>;
  readonly #gone: AbortController;
  readonly #watch: NodeJS.Timeout;
  #takenAt = performance.now();

  /** @param gone aborted as soon as nobody reads any more, however long the next event may take */
  constructor(events: AsyncGenerator<FollowEvent>, gone: AbortController) {
    super({ highWaterMark: MOST_WAITING_BYTES });
    this.#events = events;
    this.#gone = gone;
    this.#watch = setInterval(() => {
      const isStalled = this.readableLength >= MOST_WAITING_BYTES;
      if (isStalled && performance.now() - this.#takenAt > STALLED_MS) this.destroy();
    }, STALLED_MS / 4);
  }

  override _read(): void {
    this.#takenAt = performance.now();
    this.#events.next().then(
      ({ value, done }) => this.push(done ? null : eventText(value)),
      (error: unknown) => this.destroy(error instanceof Error ? error : new Error(String(error))),
    );
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    clearInterval(this.#watch);
    this.#gone.abort();
    done(error);
  }
}
