/** What the entries about a run or a grant come to: who, when, how much, what was refused, how it ended. */
import { objectIn, type RawEntry } from '../audit/raw-entry.ts';

/** Requests and what they were charged. */
export interface Amounts {
  admitted: number;
  denied: number;
  tokens: number;
  inputTokens: number;
  outputTokens: number;
  spendNanoUsd: number;
}

/** What falls to a person, a purpose, a model, a day. */
export interface Share extends Amounts {
  of: string;
}

/** How often something was said, and when. Times are RFC 3339. */
interface Counted {
  count: number;
  first: string;
  last: string;
}

/** What an order did to requests. */
export interface OrderEffect extends Counted {
  order: string;
  refused: number;
  cut: number;
  noted: number;
}

/** An entry that is not of a request: a step of the grant, a token, the end of the run. */
export interface Step {
  index: number;
  at: string;
  kind: string;
  /** Id of a person; undefined: the broker itself. */
  by: string | undefined;
}

export interface Figures {
  /** Entries that all of it rests on. */
  entries: {
    count: number;
    first: number | null;
    last: number | null;
    /** SHA-256 over their leaf hashes, one after the other in the order of the log; hex. */
    leavesSha256: string;
  };
  from: string | null;
  until: string | null;
  total: Amounts;
  /** Admitted, and without an outcome by the checkpoint. */
  unfinished: number;
  /** Of the requests with an outcome, those whose usage was estimated or stands for the whole reservation. */
  estimated: number;
  people: Share[];
  purposes: Share[];
  models: Share[];
  operations: Share[];
  runs: Share[];
  /** By day, in UTC. */
  days: Share[];
  /** By code, the most frequent first; of requests and of tokens. */
  refusals: (Counted & { code: string; ofTokens: number })[];
  /** How requests ended, and why where something other than the answer ended them. */
  ends: { end: string; reason: string | null; count: number }[];
  orders: OrderEffect[];
  tokensIssued: number;
  steps: Step[];
  /** Steps beyond those that are listed. */
  stepsLeftOut: number;
}

const MOST_STEPS = 500;

const NONE: Amounts = {
  admitted: 0,
  denied: 0,
  tokens: 0,
  inputTokens: 0,
  outputTokens: 0,
  spendNanoUsd: 0,
};

const SHARES = ['people', 'purposes', 'models', 'operations', 'runs', 'days'] as const;

/** Adds entries up, one by one in the order of the log, in memory that does not grow with their number. */
export class FiguresOf {
  readonly #total: Amounts = { ...NONE };
  readonly #shares = new Map(SHARES.map((name) => [name, new Map<string, Share>()]));
  readonly #refusals = new Map<string, Figures['refusals'][number]>();
  readonly #ends = new Map<string, Figures['ends'][number]>();
  readonly #orders = new Map<string, OrderEffect>();
  readonly #steps: Step[] = [];
  #stepsLeftOut = 0;
  #count = 0;
  #first: RawEntry | undefined;
  #last: RawEntry | undefined;
  #outcomes = 0;
  #estimated = 0;
  #tokensIssued = 0;

  add(entry: RawEntry): void {
    this.#count += 1;
    this.#first ??= entry;
    this.#last = entry;
    const { data = {}, kind } = entry;
    switch (kind) {
      case 'request.intent':
        this.#amount(entry, { admitted: 1 });
        for (const order of texts(data['notedBy'])) this.#effect(order, entry, { noted: 1 });
        return;
      case 'request.outcome':
        this.#outcome(entry, data);
        return;
      case 'request.denied':
        this.#amount(entry, { denied: 1 });
        this.#refused(entry, entry.reason ?? 'unknown', 1, 0);
        return;
      case 'request.denied_repeatedly':
        for (const [code, count] of Object.entries(objectIn(data, 'counts'))) {
          this.#amount(entry, { denied: whole(count) });
          this.#refused(entry, code, whole(count), 0);
        }
        return;
      case 'token.denied':
        this.#refused(entry, entry.reason ?? 'unknown', 1, 1);
        return;
      case 'token.issued':
        this.#tokensIssued += 1;
        return;
      case 'request.answered':
        return;
      default:
        this.#step(entry);
    }
  }

  /** @param leavesSha256 over the leaf hashes of all that was added */
  figures(leavesSha256: string): Figures {
    const [first, last] = [this.#first, this.#last];
    const shares = (name: (typeof SHARES)[number]): Share[] => [
      ...(this.#shares.get(name)?.values() ?? []),
    ];
    const most = (list: Share[]): Share[] =>
      list.toSorted((a, b) => b.admitted + b.denied - a.admitted - a.denied || order(a.of, b.of));
    return {
      entries: {
        count: this.#count,
        first: first?.index ?? null,
        last: last?.index ?? null,
        leavesSha256,
      },
      from: first?.at ?? null,
      until: last?.at ?? null,
      total: this.#total,
      unfinished: this.#total.admitted - this.#outcomes,
      estimated: this.#estimated,
      people: most(shares('people')),
      purposes: most(shares('purposes')),
      models: most(shares('models')),
      operations: most(shares('operations')),
      runs: most(shares('runs')),
      days: shares('days').toSorted((a, b) => order(a.of, b.of)),
      refusals: [...this.#refusals.values()].toSorted(
        (a, b) => b.count - a.count || order(a.code, b.code),
      ),
      ends: [...this.#ends.values()].toSorted(
        (a, b) => b.count - a.count || order(a.end, b.end) || order(a.reason ?? '', b.reason ?? ''),
      ),
      orders: [...this.#orders.values()],
      tokensIssued: this.#tokensIssued,
      steps: this.#steps,
      stepsLeftOut: this.#stepsLeftOut,
    };
  }

  #outcome(entry: RawEntry, data: Record<string, unknown>): void {
    const usage = objectIn(data, 'usage');
    const charged = objectIn(data, 'charged');
    this.#outcomes += 1;
    if (usage['source'] === 'estimated' || usage['source'] === 'reserved') this.#estimated += 1;
    this.#amount(entry, {
      tokens: whole(charged['tokens']),
      inputTokens: whole(usage['inputTokens']),
      outputTokens: whole(usage['outputTokens']),
      spendNanoUsd: whole(charged['spendNanoUsd']),
    });
    const end = typeof data['end'] === 'string' ? data['end'] : 'unknown';
    const reason = entry.reason ?? null;
    const known = this.#ends.get(`${end} ${reason}`) ?? { end, reason, count: 0 };
    known.count += 1;
    this.#ends.set(`${end} ${reason}`, known);
    for (const id of entry.orders ?? []) this.#effect(id, entry, { cut: 1 });
  }

  #amount(entry: RawEntry, more: Partial<Amounts>): void {
    addTo(this.#total, more);
    const { person, purpose, model, operation, run, at } = entry;
    const of = {
      people: person,
      purposes: purpose,
      models: model,
      operations: operation,
      runs: run,
      days: at.slice(0, 10),
    };
    for (const name of SHARES) {
      const key = of[name];
      const shares = this.#shares.get(name);
      if (key === undefined || !shares) continue;
      const share = shares.get(key) ?? { of: key, ...NONE };
      addTo(share, more);
      shares.set(key, share);
    }
  }

  #refused(entry: RawEntry, code: string, count: number, ofTokens: number): void {
    const { at } = entry;
    const known = this.#refusals.get(code) ?? { code, count: 0, ofTokens: 0, first: at, last: at };
    known.count += count;
    known.ofTokens += ofTokens;
    known.last = at;
    this.#refusals.set(code, known);
    for (const id of entry.orders ?? []) this.#effect(id, entry, { refused: count });
  }

  #effect(
    id: string,
    { at }: RawEntry,
    more: { refused?: number; cut?: number; noted?: number },
  ): void {
    const none = { order: id, refused: 0, cut: 0, noted: 0, count: 0, first: at, last: at };
    const known = this.#orders.get(id) ?? none;
    const { refused = 0, cut = 0, noted = 0 } = more;
    known.refused += refused;
    known.cut += cut;
    known.noted += noted;
    known.count += refused + cut + noted;
    known.last = at;
    this.#orders.set(id, known);
  }

  #step({ index, at, kind, actor }: RawEntry): void {
    if (this.#steps.length === MOST_STEPS) this.#stepsLeftOut += 1;
    else this.#steps.push({ index, at, kind, by: actor.person });
  }
}

function addTo(amounts: Amounts, more: Partial<Amounts>): void {
  for (const [name, value] of Object.entries(more)) amounts[name as keyof Amounts] += value;
}

const order = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
const whole = (value: unknown): number => (Number.isSafeInteger(value) ? (value as number) : 0);
const texts = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter((one) => typeof one === 'string') : [];
