/** How much of a stream is the model's text, roughly: for estimates where the upstream reports no usage. */

/** Finds the strings in fields of these names, wherever they stand in an event: up to the quote that opens one. */
export function textIn(...names: string[]): RegExp {
  return new RegExp(`"(${names.join('|')})"[ \\t]*:[ \\t]*"`, 'g');
}

/** The fields that text streams in where no event repeats another's text. */
export const DELTA_FIELDS = textIn(
  'content',
  'text',
  'thinking',
  'reasoning',
  'reasoning_content',
  'refusal',
  'arguments',
  'partial_json',
);

/** A token of text at least: short deltas are one token each. */
const LEAST_BYTES = 4;

const BACKSLASH = 0x5c;

/** Counts without parsing: this looks at every event. */
export class TextMeter {
  readonly #fields: RegExp;
  #bytes = 0;

  /** @param fields of `textIn` */
  constructor(fields: RegExp) {
    this.#fields = fields;
  }

  /** Bytes of text so far. */
  get bytes(): number {
    return this.#bytes;
  }

  /** @param event read as Latin-1, a character for a byte */
  see(event: string): void {
    const fields = this.#fields;
    let lastName: string | undefined;
    let lastText: string | undefined;
    fields.lastIndex = 0;
    for (let found = fields.exec(event); found; found = fields.exec(event)) {
      const start = fields.lastIndex;
      const end = endOfString(event, start);
      fields.lastIndex = end;
      const [, name] = found;
      const text = event.slice(start, end);
      // Some servers write a field under its former name as well.
      const isRepeated = text === lastText && name !== lastName;
      if (end > start && !isRepeated) this.#bytes += Math.max(LEAST_BYTES, end - start);
      lastName = name;
      lastText = text;
    }
  }
}

/** Where a JSON string ends whose first character stands at `start`. */
function endOfString(event: string, start: number): number {
  for (let end = event.indexOf('"', start); end !== -1; end = event.indexOf('"', end + 1)) {
    let escapes = end;
    while (escapes > start && event.charCodeAt(escapes - 1) === BACKSLASH) escapes -= 1;
    if ((end - escapes) % 2 === 0) return end;
  }
  return event.length;
}
