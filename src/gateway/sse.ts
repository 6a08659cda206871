/**
 * Server-sent events, cut at event boundaries wherever the reads happened to split them. They are strings in Latin-1, a
 * character for a byte, whatever the bytes say: to cut, look at and write those costs less than views of memory do.
 */

/** An upstream that sends so much without ending an event is not sending events. */
const LONGEST_EVENT_BYTES = 8 * 1024 * 1024;

export class EventTooLong extends Error {}

const LF = 0x0a;
const CR = 0x0d;
/** In UTF-8, read as Latin-1. */
const BYTE_ORDER_MARK = '\u00ef\u00bb\u00bf';

/** An incomplete event in more pieces than this is put together in between. */
const MOST_PIECES = 1_024;

/**
 * Splits a byte stream into whole events, each with the blank line that ends it, bytes untouched. Lines end
 * with LF, CR or both (WHATWG HTML, 9.2.5).
 */
export class EventSplitter {
  /** What has arrived of the event that is not complete yet. */
  #pieces: string[] = [];
  #held = 0;
  /** Nothing has arrived of the line that is not complete yet: if it ends here, it is a blank one. */
  #isLineEmpty = true;
  /** The last byte was a CR: an LF that follows belongs to the same end of line. */
  #endedWithCr = false;
  /** Lines of this stream have ended with both. */
  #usesCrLf = false;
  /** The event is complete but for the LF of its blank line. */
  #awaitsLf = false;
  #isFirst = true;

  /** Takes a read's bytes and gives the events that they complete. @throws EventTooLong */
  push(bytes: Buffer): string[] {
    const events: string[] = [];
    const chunk = bytes.toString('latin1');
    if (chunk.length === 0) return events;
    let eventStart = 0;
    let lineStart = 0;
    const complete = (): void => {
      events.push(this.#complete(chunk.slice(eventStart, lineStart)));
      eventStart = lineStart;
    };
    if (this.#endedWithCr) {
      this.#endedWithCr = false;
      if (chunk.charCodeAt(0) === LF) {
        this.#usesCrLf = true;
        lineStart = 1;
      }
      if (this.#awaitsLf) complete();
      this.#awaitsLf = false;
    }
    const hasCr = chunk.includes('\r');
    for (;;) {
      const lineEnd = hasCr ? endOfLine(chunk, lineStart) : chunk.indexOf('\n', lineStart);
      if (lineEnd === -1) break;
      const isBlank = lineEnd === lineStart && this.#isLineEmpty;
      this.#isLineEmpty = true;
      lineStart = lineEnd + 1;
      if (chunk.charCodeAt(lineEnd) === CR) {
        if (chunk.charCodeAt(lineStart) === LF) {
          this.#usesCrLf = true;
          lineStart += 1;
        } else this.#endedWithCr = lineStart === chunk.length;
      }
      if (!isBlank) continue;
      // What follows is an LF, then: the event goes out whole, also where it is the last one.
      if (this.#endedWithCr && this.#usesCrLf) this.#awaitsLf = true;
      else complete();
    }
    if (lineStart < chunk.length) this.#isLineEmpty = false;
    if (eventStart < chunk.length) this.#hold(chunk.slice(eventStart));
    return events;
  }

  /** What was left without a blank line when the stream ended; completed, since some servers omit the last one. */
  end(): string | undefined {
    const rest = inUtf8(this.#complete('')).trimEnd();
    return rest === '' ? undefined : Buffer.from(`${rest}\n\n`).toString('latin1');
  }

  #complete(lastPiece: string): string {
    let event = lastPiece;
    if (this.#held > 0) {
      this.#pieces.push(lastPiece);
      event = this.#pieces.join('');
      this.#pieces = [];
      this.#held = 0;
    }
    if (!this.#isFirst) return event;
    this.#isFirst = false;
    return event.startsWith(BYTE_ORDER_MARK) ? event.slice(BYTE_ORDER_MARK.length) : event;
  }

  #hold(piece: string): void {
    this.#held += piece.length;
    if (this.#held > LONGEST_EVENT_BYTES) throw new EventTooLong();
    if (this.#pieces.length === MOST_PIECES) this.#pieces = [this.#pieces.join('')];
    this.#pieces.push(piece);
  }
}

/** Where the line ends that begins here, or -1. */
function endOfLine(text: string, from: number): number {
  const cr = text.indexOf('\r', from);
  const lf = text.indexOf('\n', from);
  return cr === -1 || (lf !== -1 && lf < cr) ? lf : cr;
}

/** What bytes say that were read as Latin-1. */
function inUtf8(bytes: string): string {
  return Buffer.from(bytes, 'latin1').toString('utf8');
}

/** The data of an event: its `data:` lines, joined by newlines (WHATWG HTML, 9.2.6). @param event in Latin-1 */
export function dataOf(event: string): string {
  const lines: string[] = [];
  for (const line of inUtf8(event).split(/\r\n|\r|\n/)) {
    if (line.startsWith('data:'))
      lines.push(line.charCodeAt(5) === 0x20 ? line.slice(6) : line.slice(5));
  }
  return lines.join('\n');
}

/** Whether an event goes by the name `error`: some clients go by that, whatever its data says. */
export function isNamedError(event: string): boolean {
  return /^event: ?error$/m.test(event);
}
