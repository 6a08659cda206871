/** A clock that a test sets. */

export class SetClock {
  /**
   * Epoch milliseconds. An hour ahead at first, and to be kept ahead: the writer thread goes by the time that
   * it really is, and would find that every call came too late.
   */
  now = Math.ceil(Date.now() / 1000) * 1000 + 3_600_000;

  readonly read = (): number => this.now;

  /** `now` in whole seconds, with an offset. */
  seconds(offset = 0): number {
    return Math.floor(this.now / 1000) + offset;
  }
}
