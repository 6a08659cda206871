/** Where a member stands in its {@link Slots}; -1 outside of them. */
export interface Slotted {
  slot: number;
}

/**
 * A set of what comes and goes thousands of times a second. A `Map` or `Set` would have its table replaced every few
 * dozen changes, and V8 chains each table to the next: once one of them has grown old, all that any later one held
 * when it was replaced survives until the next full collection.
 */
export class Slots<T extends Slotted> implements Iterable<T> {
  readonly #members: T[] = [];

  get size(): number {
    return this.#members.length;
  }

  add(member: T): void {
    if (!this.has(member)) member.slot = this.#members.push(member) - 1;
  }

  has(member: T): boolean {
    return this.#members[member.slot] === member;
  }

  delete(member: T): void {
    if (!this.has(member)) return;
    const last = this.#members.pop() as T;
    if (last !== member) {
      this.#members[member.slot] = last;
      last.slot = member.slot;
    }
    member.slot = -1;
  }

  /** Those that are in it now, in no order: it may change meanwhile. */
  [Symbol.iterator](): IterableIterator<T> {
    return [...this.#members].values();
  }
}
