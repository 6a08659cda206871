/** Tells the demo's steps, and holds each against what it should have come to. */

export class Narrator {
  readonly #out: (text: string) => void;
  readonly #startedAt = performance.now();
  #steps = 0;

  constructor(out: (text: string) => void) {
    this.#out = out;
  }

  chapter(title: string): void {
    this.#out(`\n${title}\n`);
  }

  proved(what: string, why: string): void {
    this.#steps += 1;
    this.#out(`  ✓ ${what}\n      ${why}\n`);
  }

  failed(error: unknown): void {
    this.#out(
      `  ✗ ${error instanceof Error ? error.message : String(error)}\n\nNot as it should be, after ${this.#steps} steps that were.\n`,
    );
  }

  end(): void {
    this.#out(
      `\nAll ${this.#steps} steps are as they should be (${((performance.now() - this.#startedAt) / 1000).toFixed(1)} s).\n`,
    );
  }
}

/** Ends the story where a step is not as it should be. */
export function must(holds: boolean, otherwise: string): void {
  if (!holds) throw new Error(`Expected otherwise: ${otherwise}.`);
}

/** Expects a call to be refused with this code, whichever client made it. */
export async function refusedWith(code: string, call: PromiseLike<unknown>): Promise<void> {
  try {
    await call;
  } catch (error) {
    // The SDKs carry the code in a field, the command line's client in its sentence.
    const seen = `${error instanceof Error ? error.message : String(error)} ${JSON.stringify(error)}`;
    if (seen.includes(code)) return;
    throw new Error(`Expected a refusal with "${code}", got: ${seen}`, { cause: error });
  }
  throw new Error(`Expected a refusal with "${code}", and it passed.`);
}
