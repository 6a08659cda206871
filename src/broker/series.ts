/**
 * Counters and histograms that every request counts in. prom-client makes a text of the labels at each step, and
 * looks for it; here a series is found by walking from label to label, and prom-client's registry sees what was
 * counted when somebody asks.
 */
import type { Metric, Registry } from 'prom-client';

interface Description {
  name: string;
  help: string;
  /** In the order in which a series is looked for by their values. */
  labelNames: readonly string[];
  registry: Registry;
}

/** A number of a series, as the registry writes it: its own labels come first. */
interface Sample {
  metricName?: string;
  labels: Record<string, string | number>;
  sharedLabels: Record<string, string>;
  value: number;
}

/** What has been counted with the same labels. */
interface Series {
  samples(name: string, sharedLabels: Record<string, string>): Sample[];
}

/** Series by the value of one label after the other. */
class Branch<S extends Series> {
  readonly #branches = new Map<string, Branch<S>>();
  readonly #begin: (labels: readonly string[]) => S;
  readonly #labels: readonly string[];
  #series: S | undefined;

  constructor(begin: (labels: readonly string[]) => S, labels: readonly string[] = []) {
    this.#begin = begin;
    this.#labels = labels;
  }

  /** One label further. */
  at(label: string): Branch<S> {
    let branch = this.#branches.get(label);
    if (!branch) {
      branch = new Branch(this.#begin, [...this.#labels, label]);
      this.#branches.set(label, branch);
    }
    return branch;
  }

  /** The series with just the labels that led here; it begins when it is looked for. */
  get series(): S {
    this.#series ??= this.#begin(this.#labels);
    return this.#series;
  }
}

function register<S extends Series>(
  type: 'counter' | 'histogram',
  { name, help, labelNames, registry }: Description,
  make: () => S,
): Branch<S> {
  const all: { series: S; labels: Record<string, string> }[] = [];
  const samples = (): Sample[] => all.flatMap(({ series, labels }) => series.samples(name, labels));
  const get = () => Promise.resolve({ name, help, type, aggregator: 'sum', values: samples() });
  // A registry wants no more of a metric than its name, and what `get` says.
  registry.registerMetric({ name, get } as unknown as Metric);
  return new Branch((values) => {
    const labels = Object.fromEntries(labelNames.map((label, i) => [label, values[i] ?? '']));
    const series = make();
    all.push({ series, labels });
    return series;
  });
}

class Total implements Series {
  #value = 0;

  add(more: number): void {
    this.#value += more;
  }

  samples(_name: string, sharedLabels: Record<string, string>): Sample[] {
    return [{ labels: {}, sharedLabels, value: this.#value }];
  }
}

class Distribution implements Series {
  readonly #bounds: readonly number[];
  /** How many lie under each bound, and over the one before. */
  readonly #counts: number[];
  #sum = 0;
  #count = 0;

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#counts = bounds.map(() => 0);
  }

  observe(value: number): void {
    const bounds = this.#bounds;
    this.#sum += value;
    this.#count += 1;
    for (let i = 0; i < bounds.length; i += 1) {
      if (value > (bounds[i] as number)) continue;
      (this.#counts[i] as number) += 1;
      return;
    }
  }

  samples(name: string, sharedLabels: Record<string, string>): Sample[] {
    let below = 0;
    const buckets = this.#bounds.map((le, i) => {
      below += this.#counts[i] as number;
      return { metricName: `${name}_bucket`, labels: { le }, sharedLabels, value: below };
    });
    const [sum, count] = [this.#sum, this.#count];
    return [
      ...buckets,
      { metricName: `${name}_bucket`, labels: { le: '+Inf' }, sharedLabels, value: count },
      { metricName: `${name}_sum`, labels: {}, sharedLabels, value: sum },
      { metricName: `${name}_count`, labels: {}, sharedLabels, value: count },
    ];
  }
}

/** Registers a counter. */
export const counterBranch = (description: Description): Branch<Total> =>
  register('counter', description, () => new Total());

/**
 * Registers a histogram.
 *
 * @param bounds of its buckets, upper ones, inclusive, ascending
 */
export const histogramBranch = (
  description: Description,
  bounds: readonly number[],
): Branch<Distribution> => register('histogram', description, () => new Distribution(bounds));
