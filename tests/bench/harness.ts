/** What benchmarks measure with. A busy machine is slow as a whole, so a figure is held against another of the same round. */

/** One line of the report. */
export interface Figure {
  name: string;
  value: number;
  unit: string;
  /** The figure over what it is held against, and what that is. */
  ratio?: { value: number; to: string };
  /** What else was measured of it. */
  details?: Record<string, number>;
  /** What was asked for. */
  goal?: string;
}

export interface AreaOptions {
  /** Whether to measure other gateways, too. */
  peers: boolean;
}

/** A group of benchmarks. Reports its figures; fails where something is not merely slow but wrong. */
export type Area = (report: (figure: Figure) => void, options: AreaOptions) => Promise<void>;

/** What a call took in the mean, nanoseconds. */
export interface Cost {
  /** By the clock on the wall: the time that all of them took, over their number. */
  elapsed: number;
  /** Of processors, by all threads of this process: others on the machine hardly change it. */
  processor: number;
}

/** Measures work that comes to so many calls. */
export async function costOf(count: number, work: () => Promise<unknown>): Promise<Cost> {
  const usedBefore = process.cpuUsage();
  const started = process.hrtime.bigint();
  await work();
  const elapsed = Number(process.hrtime.bigint() - started) / count;
  const { user, system } = process.cpuUsage(usedBefore);
  return { elapsed, processor: ((user + system) * 1000) / count };
}

/** Calls so many times, in so many lanes: each calls again when its last call has ended. */
export async function callInLanes(
  count: number,
  lanes: number,
  call: (n: number) => Promise<unknown>,
): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < count) {
      const n = next;
      next += 1;
      await call(n);
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
}

/** Measures calls in lanes. */
export function costInLanes(
  count: number,
  lanes: number,
  call: (n: number) => Promise<unknown>,
): Promise<Cost> {
  return costOf(count, () => callInLanes(count, lanes, call));
}

/** On a machine that is too busy for all rounds, none begins after this time. */
const MOST_MS_OF_ROUNDS = 9_000;

/** Rounds of the same measurements. */
export class Rounds<K extends string> {
  readonly #rounds: Record<K, Cost>[];

  private constructor(rounds: Record<K, Cost>[]) {
    this.#rounds = rounds;
  }

  /** Runs so many rounds, but at least one, after one that warms up. */
  static async run<K extends string>(
    most: number,
    round: () => Promise<Record<K, Cost>>,
  ): Promise<Rounds<K>> {
    const until = performance.now() + MOST_MS_OF_ROUNDS;
    await round();
    const rounds = [await round()];
    while (rounds.length < most && performance.now() < until) rounds.push(await round());
    return new Rounds(rounds);
  }

  /** How many of them a second. */
  rate(name: K, to?: K): Figure {
    const value = 1e9 / this.#median(name, 'elapsed');
    const ratio = to && { value: this.#ratio(to, name, 'elapsed'), to };
    return { name, value, unit: 'a second', ...(ratio ? { ratio } : {}) };
  }

  /** How long one of them takes. */
  time(name: K, to?: K): Figure {
    return { name, ...this.#microseconds('elapsed', name, to) };
  }

  /** What one of them costs. */
  processorTime(name: K, to?: K): Figure {
    return { name: `${name}: processor time`, ...this.#microseconds('processor', name, to) };
  }

  #microseconds(kind: keyof Cost, name: K, to: K | undefined): Omit<Figure, 'name'> {
    const ratio = to && { value: this.#ratio(name, to, kind), to };
    return { value: this.#median(name, kind) / 1000, unit: 'µs', ...(ratio ? { ratio } : {}) };
  }

  #median(name: K, kind: keyof Cost): number {
    return medianOf(this.#rounds.map((round) => round[name][kind]));
  }

  /** Of each round by itself: what slowed one of the two slowed the other. */
  #ratio(name: K, to: K, kind: keyof Cost): number {
    return medianOf(this.#rounds.map((round) => round[name][kind] / round[to][kind]));
  }
}

/** The middle one; of an even number, the higher of the two. */
export function medianOf(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted[Math.floor(sorted.length / 2)];
  if (middle === undefined) throw new RangeError('Nothing was measured.');
  return middle;
}
