/** A map of what is there for a moment, thousands of times a second: `slots.ts` says what a `Map` would keep. */
export class ShortLivedMap<V> {
  // Without a prototype: no key is there that was not put there.
  readonly #values = Object.create(null) as Record<string, V | undefined>;

  get(key: string): V | undefined {
    return this.#values[key];
  }

  set(key: string, value: V): void {
    this.#values[key] = value;
  }

  /** @returns whether it was there */
  delete(key: string): boolean {
    return this.#values[key] !== undefined && Reflect.deleteProperty(this.#values, key);
  }
}
