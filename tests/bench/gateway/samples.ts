/** Durations that were measured. */

export interface Spread {
  count: number;
  p50: number;
  p99: number;
  max: number;
}

/** Grows seldom, and is sorted once. */
export class Samples {
  #values = new Float64Array(1 << 16);
  #count = 0;

  get count(): number {
    return this.#count;
  }

  add(value: number): void {
    if (this.#count === this.#values.length) {
      const more = new Float64Array(this.#count * 2);
      more.set(this.#values);
      this.#values = more;
    }
    this.#values[this.#count] = value;
    this.#count += 1;
  }

  spread(): Spread {
    const sorted = this.#values.slice(0, this.#count).sort();
    const at = (part: number): number => sorted[Math.ceil(part * this.#count) - 1] ?? Number.NaN;
    return { count: this.#count, p50: at(0.5), p99: at(0.99), max: at(1) };
  }
}
