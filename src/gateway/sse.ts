/** Server-sent events as bytes: cut at event boundaries wherever the reads happened to split them. */

/** An upstream that sends so much without ending an event is not sending events. */
const LONGEST_EVENT_BYTES = 8 * 1024 * 1024;

export class EventTooLong extends Error {}

const LF = 0x0a;
const CR = 0x0d;

/** Splits a byte stream into whole events, each with the blank line that ends it, bytes untouched. */
export class EventSplitter {
  #rest: Buffer = Buffer.alloc(0);
  /** Where in the rest the search goes on: start of the line that is not complete yet. */
  #lineStart = 0;

  /** Takes a read's bytes and gives the events that they complete. @throws EventTooLong */
  push(chunk: Buffer): Buffer[] {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const events: Buffer[] = [];
    let eventStart = 0;
    let lineStart = this.#lineStart;
    for (;;) {
      const lineEnd = bytes.indexOf(LF, lineStart);
      if (lineEnd === -1) break;
      const isBlank =
        lineEnd === lineStart || (lineEnd === lineStart + 1 && bytes[lineStart] === CR);
      lineStart = lineEnd + 1;
      if (!isBlank) continue;
      events.push(bytes.subarray(eventStart, lineStart));
      eventStart = lineStart;
    }
    this.#rest = bytes.subarray(eventStart);
    this.#lineStart = lineStart - eventStart;
    if (this.#rest.length > LONGEST_EVENT_BYTES) throw new EventTooLong();
    return events;
  }

  /** What was left without a blank line when the stream ended; completed, since some servers omit the last one. */
  end(): Buffer | undefined {
    const rest = this.#rest.toString('utf8').trimEnd();
    return rest === '' ? undefined : Buffer.from(`${rest}\n\n`);
  }
}

/** The data of an event: its `data:` lines, joined by newlines (WHATWG HTML, 9.2.6). */
export function dataOf(event: Buffer): string {
  const lines: string[] = [];
  for (const line of event.toString('utf8').split(/\r?\n/)) {
    if (line.startsWith('data:'))
      lines.push(line.charCodeAt(5) === 0x20 ? line.slice(6) : line.slice(5));
  }
  return lines.join('\n');
}
