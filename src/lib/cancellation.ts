/** Told, once, that something is over. */
export interface CancellationListener {
  onCancelled(): void;
}

/**
 * Says that something is over, and why. For what every request needs one of: an `AbortController` is an event target
 * behind three objects and a finalisation registry, and costs as much as the access decision.
 */
export class Cancellation {
  #isCancelled = false;
  #reason: unknown;
  #listeners: CancellationListener[] | undefined;

  get isCancelled(): boolean {
    return this.#isCancelled;
  }

  /** Why; undefined as long as it is not cancelled. */
  get reason(): unknown {
    return this.#reason;
  }

  /** Cancels, the first time. All listeners hear of it before this returns. */
  cancel(reason: unknown): void {
    if (this.#isCancelled) return;
    this.#isCancelled = true;
    this.#reason = reason;
    const listeners = this.#listeners;
    this.#listeners = undefined;
    if (listeners) for (const listener of listeners) tell(listener);
  }

  /** Who listens hears of a cancellation that is still to come. */
  listen(listener: CancellationListener): void {
    if (this.#listeners) this.#listeners.push(listener);
    else this.#listeners = [listener];
  }

  /** @throws the reason, where it is cancelled */
  throwIfCancelled(): void {
    // What is thrown is what was given: an error, or a reason that whoever catches it looks for.
    if (this.#isCancelled) throw this.#reason as Error;
  }
}

/** A listener that fails must not keep the others from hearing; what it throws is nobody's, and ends the process. */
function tell(listener: CancellationListener): void {
  try {
    listener.onCancelled();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
