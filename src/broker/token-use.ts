/**
 * When each token was last presented. Noted in memory, where it costs a request nothing, and written
 * together every few seconds: a crash loses as much of it, and nothing that the log vouches for.
 */
import type { Logger } from '../lib/log.ts';
import type { Store } from '../store/client.ts';

const FLUSH_EVERY_MS = 5_000;

/** Tokens of one write: the writer thread has other things to do in between. */
const MOST_AT_A_TIME = 250;

export class TokenUse {
  readonly #store: Store;
  readonly #log: Logger;
  readonly #timer: NodeJS.Timeout;
  /** Not written yet. Bounded by the number of live tokens. */
  #noted = new Map<string, number>();
  /** On their way to the store, or back from it. */
  #leaving = new Map<string, number>();
  #flushing: Promise<void> | undefined;

  constructor(parts: { store: Store; log: Logger }) {
    this.#store = parts.store;
    this.#log = parts.log;
    this.#timer = setInterval(() => void this.flush(), FLUSH_EVERY_MS);
    this.#timer.unref();
  }

  /** @param at epoch milliseconds */
  note(tokenId: string, at: number): void {
    this.#noted.set(tokenId, at);
  }

  /** The last use that the store may not know of yet, epoch milliseconds. */
  lastUse(tokenId: string): number | undefined {
    return this.#noted.get(tokenId) ?? this.#leaving.get(tokenId);
  }

  /** Every use that the store may not know of yet: tokens with epoch milliseconds, later uses last. */
  *unwritten(): Iterable<[tokenId: string, at: number]> {
    yield* this.#leaving;
    yield* this.#noted;
  }

  /** Writes what was noted. What cannot be written stays noted. */
  flush(): Promise<void> {
    this.#flushing ??= this.#write().finally(() => (this.#flushing = undefined));
    return this.#flushing;
  }

  /** Writes what is left. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#flushing;
    await this.flush();
  }

  async #write(): Promise<void> {
    if (this.#noted.size === 0) return;
    this.#leaving = this.#noted;
    this.#noted = new Map();
    try {
      const all = [...this.#leaving];
      for (let from = 0; from < all.length; from += MOST_AT_A_TIME) {
        const uses = all.slice(from, from + MOST_AT_A_TIME);
        await this.#store.write('noteTokenUse', { uses });
        for (const [tokenId] of uses) this.#leaving.delete(tokenId);
      }
    } catch (error) {
      for (const [tokenId, at] of this.#noted) this.#leaving.set(tokenId, at);
      this.#noted = this.#leaving;
      this.#leaving = new Map();
      this.#log.warn({ err: String(error) }, 'the last use of tokens could not be written yet');
    }
  }
}
