/** Overwrites the host's credential in what is kept of an answer, also where two reads of it have a part each. */

/** Secrets, and how they are found. */
export interface Secrets {
  texts: readonly string[];
  /** Matches one of them, as it is and as JSON may write it; and, global, all. */
  one: RegExp;
  all: RegExp;
}

const ASTERISK = 0x2a;
const BACKSLASH = 0x5c;

/** A character in JSON is six at most (RFC 8259, 7). */
const LONGEST_FORM = 6;

/** What an answer that was cut ends with may be the beginning of a secret: a shorter one tells nothing of it. */
const TELLING_LENGTH = 8;

const NOTHING = Buffer.alloc(0);

export class CredentialMask {
  readonly #secrets: () => Secrets;
  /** Whether it looks for every secret, those that are a word that a model may say as well. */
  readonly isComplete: boolean;
  /** What may be the beginning of a secret, as it came. */
  #held: Buffer = NOTHING;
  #hasMasked = false;

  /** @param secrets as they are now: they can change while an answer comes */
  constructor(secrets: () => Secrets, isComplete: boolean) {
    this.#secrets = secrets;
    this.isComplete = isComplete;
  }

  /** Whether anything was overwritten. */
  get hasMasked(): boolean {
    return this.#hasMasked;
  }

  /**
   * Takes bytes of an answer and gives those, of the same length in the end, that hold no secret. Where the last of them may
   * begin one, they come with the next.
   */
  push(chunk: Buffer): Buffer {
    const bytes = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    const text = bytes.toString('latin1');
    const secrets = this.#secrets();
    const matches = secrets.one.test(text) ? matchesIn(text, secrets) : [];
    let end = openEnd(text, secrets);
    // A secret that another one may begin inside of stays whole.
    for (const match of matches) if (match.to > end) end = Math.min(end, match.from);
    this.#held = bytes.subarray(end);
    return this.#masked(
      bytes.subarray(0, end),
      matches.filter(({ to }) => to <= end),
    );
  }

  /** What was held back, when the answer is over. */
  end(): Buffer {
    const bytes = this.#held;
    this.#held = NOTHING;
    if (bytes.length === 0) return bytes;
    const text = bytes.toString('latin1');
    const secrets = this.#secrets();
    const matches = matchesIn(text, secrets);
    const from = openEnd(text, secrets);
    if (text.length - from >= TELLING_LENGTH) matches.push({ from, to: text.length });
    return this.#masked(bytes, matches);
  }

  #masked(bytes: Buffer, matches: readonly Match[]): Buffer {
    if (matches.length === 0) return bytes;
    this.#hasMasked = true;
    const masked = Buffer.from(bytes);
    for (const { from, to } of matches) masked.fill(ASTERISK, from, to);
    return masked;
  }
}

interface Match {
  from: number;
  to: number;
}

const matchesIn = (text: string, { all }: Secrets): Match[] =>
  Array.from(text.matchAll(all), ({ index, 0: { length } }) => ({
    from: index,
    to: index + length,
  }));

/** Where the first secret may begin that the text ends inside of; its length, where there is none. */
function openEnd(text: string, { texts }: Secrets): number {
  let end = text.length;
  for (const secret of texts) {
    const first = secret.charCodeAt(0);
    for (let at = Math.max(0, text.length - secret.length * LONGEST_FORM); at < end; at += 1) {
      const code = text.charCodeAt(at);
      if ((code === first || code === BACKSLASH) && endsInside(text, at, secret, 0)) end = at;
    }
  }
  return end;
}

/** Whether a text, from somewhere on, is the beginning of a secret from one of its characters on, and not all of it. */
function endsInside(text: string, at: number, secret: string, character: number): boolean {
  if (character === secret.length) return false;
  return formsOf(secret.charAt(character)).some((form) => {
    if (text.length - at < form.length) return form.startsWith(text.slice(at));
    return text.startsWith(form, at) && endsInside(text, at + form.length, secret, character + 1);
  });
}

/** How JSON may write a printable character of ASCII: itself, behind a backslash, or by its number. */
function formsOf(character: string): string[] {
  const code = character.charCodeAt(0).toString(16);
  return [character, `\\${character}`, ...new Set([`\\u00${code}`, `\\u00${code.toUpperCase()}`])];
}
