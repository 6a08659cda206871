/** Standard error while a run goes on: lasting lines, and under them one that changes in place. */
import { oneLine } from '../printable.ts';
import type { Surroundings } from '../surroundings.ts';

/** Without a terminal, the changing line is printed anew at most this often. */
const PLAIN_EVERY_MS = 60_000;

const CLEAR_LINE = '\r\u001b[2K';

export class Display {
  readonly #around: Pick<Surroundings, 'err' | 'columns' | 'clock'>;
  readonly #shows: boolean;
  #line = '';
  #plain = { line: '', at: -Infinity };

  /** @param shows whether there is a changing line at all: a command that draws on the terminal itself forbids it */
  constructor(around: Pick<Surroundings, 'err' | 'columns' | 'clock'>, shows: boolean) {
    this.#around = around;
    this.#shows = shows;
  }

  /** A line that stays. */
  note(line: string): void {
    const { err } = this.#around;
    if (this.#line !== '') err(CLEAR_LINE);
    err(`${oneLine(line)}\n`);
    if (this.#line !== '') err(this.#line);
  }

  /**
   * Shows a line in place of the last one. What is in it is others', and acts on nothing.
   *
   * @param essence what of it has to change for it to be printed anew where there is no terminal
   */
  show(line: string, essence = line): void {
    if (!this.#shows) return;
    const columns = this.#around.columns();
    if (columns === undefined) this.#showPlain(line, essence);
    else {
      // Not the last column: some terminals go on to the next line there.
      const next = Array.from(oneLine(line))
        .slice(0, Math.max(1, columns - 1))
        .join('');
      if (next === this.#line) return;
      this.#around.err(`${CLEAR_LINE}${next}`);
      this.#line = next;
    }
  }

  /** Leaves the terminal with nothing but lasting lines. */
  end(): void {
    if (this.#line !== '') this.#around.err(CLEAR_LINE);
    this.#line = '';
  }

  #showPlain(line: string, essence: string): void {
    const now = this.#around.clock();
    if (essence === this.#plain.line || now - this.#plain.at < PLAIN_EVERY_MS) return;
    this.#plain = { line: essence, at: now };
    this.#around.err(`${oneLine(line)}\n`);
  }
}
