/** Reads Prometheus' text format (version 0.0.4) as strictly as it is specified. */

export interface Sample {
  name: string;
  labels: Record<string, string>;
  value: number;
}

export interface Family {
  help: string;
  type: string;
  samples: Sample[];
}

const NAME = '[a-zA-Z_:][a-zA-Z0-9_:]*';
const LABEL = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(?:,|$)/;
const HEADING = new RegExp(`^# (HELP|TYPE) (${NAME}) (.+)$`);
const SAMPLE = new RegExp(`^(${NAME})(?:\\{(.*)\\})? (\\S+)$`);
const SUFFIXES: Record<string, RegExp> = {
  histogram: /_(bucket|sum|count)$/,
  summary: /_(sum|count)$/,
};

export class Scrape {
  readonly families: ReadonlyMap<string, Family>;

  /** @throws at the first line that is not as it must be */
  constructor(text: string) {
    this.families = parse(text);
    for (const [name, family] of this.families) check(name, family);
  }

  /** The value of one series. @throws when there is not exactly one */
  value(name: string, labels: Record<string, string> = {}): number {
    const found = this.samples(name, labels);
    if (found.length !== 1)
      throw new Error(`${found.length} series ${name} ${JSON.stringify(labels)}, not one`);
    return (found[0] as Sample).value;
  }

  /** The series of a name with at least these labels. */
  samples(name: string, labels: Record<string, string> = {}): Sample[] {
    return [...this.families.values()]
      .flatMap(({ samples }) => samples)
      .filter((sample) => sample.name === name)
      .filter((sample) => Object.entries(labels).every(([key, is]) => sample.labels[key] === is));
  }

  /** The sum over the series of a name with at least these labels. */
  sum(name: string, labels: Record<string, string> = {}): number {
    return this.samples(name, labels).reduce((sum, { value }) => sum + value, 0);
  }
}

/** Asks for the metrics at an address, and reads them. */
export async function scrape(url: string | undefined): Promise<Scrape> {
  const answer = await fetch(`${url}/metrics`);
  if (answer.status !== 200) throw new Error(`${answer.status}: ${await answer.text()}`);
  return new Scrape(await answer.text());
}

function parse(text: string): Map<string, Family> {
  if (!text.endsWith('\n')) throw new Error('The last line has no end.');
  const families = new Map<string, Family>();
  let family: Family | undefined;
  let current = '';
  for (const line of text.split('\n')) {
    if (line === '') continue;
    const [, kind, name = '', rest = ''] = HEADING.exec(line) ?? [];
    if (kind === 'HELP') {
      if (families.has(name)) throw new Error(`Two families are called ${name}.`);
      current = name;
      family = { help: rest, type: '', samples: [] };
      families.set(name, family);
    } else if (kind === 'TYPE') {
      if (name !== current || !family || family.type !== '')
        throw new Error(`Out of place: ${line}`);
      if (!/^(counter|gauge|histogram|summary|untyped)$/.test(rest)) throw new Error(line);
      family.type = rest;
    } else {
      const sample = parseSample(line);
      if (!family || baseName(sample.name, family.type) !== current)
        throw new Error(`Not of the family ${current}: ${line}`);
      family.samples.push(sample);
    }
  }
  return families;
}

const baseName = (name: string, type: string): string => name.replace(SUFFIXES[type] ?? /$^/, '');

function parseSample(line: string): Sample {
  const [, name = '', inner = '', number = ''] = SAMPLE.exec(line) ?? [];
  if (name === '') throw new Error(`Not a sample: ${line}`);
  const labels: Record<string, string> = {};
  let rest = inner;
  while (rest !== '') {
    const [whole = '', label = '', value = ''] = LABEL.exec(rest) ?? [];
    if (whole === '' || Object.hasOwn(labels, label)) throw new Error(`Labels of: ${line}`);
    labels[label] = value.replace(/\\(.)/g, (_all, one: string) => (one === 'n' ? '\n' : one));
    rest = rest.slice(whole.length);
  }
  return { name, labels, value: parseNumber(number) };
}

function parseNumber(text: string): number {
  if (/^nan$/i.test(text)) return NaN;
  if (/^[+-]?Inf$/.test(text)) return text.startsWith('-') ? -Infinity : Infinity;
  if (!/^[+-]?\d+(\.\d+)?(e[+-]?\d+)?$/.test(text)) throw new Error(`Not a number: ${text}`);
  return Number(text);
}

/** No series twice, no counter below zero; buckets that add up. */
function check(name: string, { type, samples }: Family): void {
  const keys = samples.map(
    (sample) =>
      `${sample.name} ${new URLSearchParams(Object.entries(sample.labels).sort(([a], [b]) => (a < b ? -1 : 1))).toString()}`,
  );
  if (new Set(keys).size !== keys.length)
    throw new Error(`A series of ${name} stands there twice.`);
  if (type === 'counter' && samples.some(({ value }) => !(value >= 0)))
    throw new Error(`A counter of ${name} is below zero.`);
  if (type === 'histogram') checkBuckets(name, samples);
}

function checkBuckets(name: string, samples: Sample[]): void {
  for (const count of samples.filter((sample) => sample.name === `${name}_count`)) {
    const buckets = samples.filter(
      (sample) =>
        sample.name === `${name}_bucket` &&
        Object.entries(count.labels).every(([key, value]) => sample.labels[key] === value),
    );
    const bounds = buckets.map(({ labels }) => parseNumber(labels['le'] ?? ''));
    const values = buckets.map(({ value }) => value);
    const rises = (list: number[]): boolean =>
      list.every((one, i) => i === 0 || one >= (list[i - 1] as number));
    if (bounds.at(-1) !== Infinity || !rises(bounds) || !rises(values))
      throw new Error(`The buckets of ${name} do not rise to +Inf.`);
    if (values.at(-1) !== count.value) throw new Error(`The buckets of ${name} do not add up.`);
  }
}
