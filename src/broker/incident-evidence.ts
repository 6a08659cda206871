/** What a report on an incident rests on: its orders with those before and after them, and the entries about all of it. */
import { setImmediate } from 'node:timers/promises';
import type { CutRequest, ReportedEntry } from '../core/incidents/report-text.ts';
import type { Incident } from '../core/incidents/incident.ts';
import type { StoredEntry } from '../store/entry-index.ts';
import type { Broker } from './broker.ts';
import type { ShownOrder } from './show-orders.ts';

/** An order with what came of it, and what it cut. */
export interface EvidencedOrder extends ShownOrder {
  cut: CutRequest[];
  /** Whether more may have been cut than was looked for. */
  cutIsPartial: boolean;
}

export interface IncidentEvidence {
  orders: EvidencedOrder[];
  /** In the order of the log, each once. */
  entries: ReportedEntry[];
  /** Whether something that is linked to it is older than the log's beginning, or began there. */
  isPartlyPruned: boolean;
}

/** Entries that are read at a time. */
const BATCH = 500;

/**
 * Entries after an order that are looked through for what it cut. Streams end within a quarter of a second, and so do
 * their outcomes follow; to look through all of its time would keep others waiting.
 */
const LOOKED_THROUGH = 4_096;

/** What an entry says of itself, as far as a report shows it. */
interface Said {
  at: string;
  kind: string;
  ref?: string;
  actor: { person?: string };
  person?: string;
  grant?: string;
  data?: { by?: string };
}

/** Gathers all of it. Lets others go on between one reading and the next. */
export async function evidenceOf(broker: Broker, incident: Incident): Promise<IncidentEvidence> {
  const found = new Map<number, Said>();
  const add = ({ index, bytes }: StoredEntry): Said => {
    const said = JSON.parse(bytes.toString('utf8')) as Said;
    found.set(index, said);
    return said;
  };
  for await (const entry of entriesAbout(broker, incident.id)) add(entry);
  const belonging = incident.links.filter(({ removed }) => removed === null);
  const minimum = broker.readers.minimumIndex();
  let isPartlyPruned = belonging.some(({ entry }) => entry !== undefined && entry < minimum);
  for (const { entry } of belonging) {
    const stored = entry === undefined ? undefined : broker.readers.readEntry(entry);
    if (stored) add(stored);
  }
  const ids = withChains(
    broker,
    belonging.flatMap(({ order }) => order ?? []),
  );
  for (const id of ids) for await (const entry of entriesAbout(broker, id)) add(entry);

  const orders: EvidencedOrder[] = [];
  for (const id of ids) {
    await setImmediate();
    const order = broker.readers.readOrder(id);
    if (!order) continue;
    const [from] = [...found].find(([, said]) => begins(said, id)) ?? [];
    if (from === undefined) isPartlyPruned ||= minimum > 0;
    const to = (from ?? 0) + LOOKED_THROUGH;
    const outcomes = from === undefined ? [] : broker.readers.listOutcomesOf(id, from, to);
    orders.push({
      order,
      disputes: broker.readers.disputesAbout(id),
      acknowledgements: broker.readers.listAcknowledgements(id),
      cut: outcomes.map((entry) => cutBy(entry.index, add(entry))),
      cutIsPartial: from === undefined || to < broker.readers.logSize(),
    });
  }
  const entries = [...found]
    .toSorted(([one], [other]) => one - other)
    .map(([index, { at, kind, actor }]) => ({ index, at, kind, by: actor.person }));
  return { orders, entries, isPartlyPruned };
}

/** Whether an entry is the one with which an order came into force: issued, or in the place of another one. */
const begins = ({ kind, ref, data }: Said, id: string): boolean =>
  (kind === 'order.issued' && ref === id) || (kind === 'order.lowered' && data?.by === id);

const cutBy = (entry: number, { ref = '', person, grant, at }: Said): CutRequest => ({
  requestId: ref,
  personId: person ?? null,
  grantId: grant ?? null,
  at,
  entry,
});

/** Orders with those whose place they took, and those that took theirs: what was lowered is one story. */
function withChains({ readers }: Broker, linked: readonly string[]): string[] {
  const ids = new Set<string>();
  const follow = (first: string, next: (id: string) => string | null | undefined): void => {
    for (let id: string | null | undefined = first; id; id = next(id)) ids.add(id);
  };
  for (const id of linked) {
    follow(id, (one) => readers.readOrder(one)?.replaces);
    follow(id, (one) => readers.orderReplacing(one)?.id);
  }
  return [...ids].toSorted();
}

async function* entriesAbout({ readers }: Broker, ref: string): AsyncGenerator<StoredEntry> {
  for (let from = 0; ;) {
    await setImmediate();
    const batch = readers.listEntries({ from, limit: BATCH, ref });
    yield* batch;
    const last = batch.at(-1);
    if (!last || batch.length < BATCH) return;
    from = last.index + 1;
  }
}
