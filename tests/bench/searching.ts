/** Searching a long log: pages by every filter and by pairs of them, what is rare, and what finds nothing; and the start on it. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import type { BrokerClient } from '../../src/cli/broker-client.ts';
import type { EntrySearch } from '../../src/core/audit/entry-search.ts';
import { DATABASE_FILE } from '../../src/store/database.ts';
import { Readers } from '../../src/store/readers.ts';
import type { Direction } from '../../src/store/search-sources.ts';
import { Child } from './gateway/child.ts';
import { Premises, startSallyport } from './gateway/sallyport.ts';
import { medianOf, type Area, type Figure } from './harness.ts';
import { idOf } from './search/sample.ts';
import type { SearchSeed, SearchSeeded } from './search/seed.ts';

const ENTRIES = 5_000_000;
const PAGE = 50;
const MOST_MS = 50;
const MOST_START_MS = 1_000;
const ROUNDS = 5;

const DAY_MS = 86_400_000;

const first = { ref: idOf('req', 1_000), order: idOf('ord', 0) };

const SINGLE: Record<string, EntrySearch> = {
  kind: { kind: ['request.outcome'] },
  'kinds, rare': { kind: ['order.issued', 'order.lifted'] },
  ref: { ref: first.ref },
  id: { id: idOf('grt', 0) },
  lab: { lab: idOf('lab', 0) },
  person: { person: idOf('per', 7) },
  actor: { actor: idOf('per', 7) },
  grant: { grant: idOf('grt', 3) },
  token: { token: idOf('tok', 2_000) },
  run: { run: idOf('run', 5) },
  purpose: { purpose: 'bias' },
  endpoint: { endpoint: 'other' },
  model: { model: 'model-c-1' },
  operation: { operation: 'messages' },
  decision: { decision: 'allowed' },
  reason: { reason: 'grant_suspended' },
  end: { end: 'cut' },
  order: { order: first.order },
  time: { since: Date.now() - 40 * DAY_MS, until: Date.now() - 39 * DAY_MS },
};

const NOTHING: Record<string, EntrySearch> = {
  'purpose and model that never meet': { purpose: 'hallucination', model: 'model-b-1' },
  'lab and person that never meet': { lab: idOf('lab', 0), person: idOf('per', 1) },
  'decision and kind that never meet': { decision: 'allowed', kind: ['request.outcome'] },
  'grant and run that never meet': { grant: idOf('grt', 1), run: idOf('run', 0) },
  'a person that there is not': { person: idOf('per', 999) },
  'a model that there is not': { model: 'no-such-model', decision: 'allowed' },
  'a time before the log': { until: 1_000 },
  'an id that there is not': { id: idOf('grt', 999) },
};

export const searching: Area = async (report) => {
  const premises = await Premises.prepare();
  const { dataDir, log } = premises.facts;
  try {
    const emptyMs = await startOn(premises);
    report({ name: 'start on an empty log', value: emptyMs, unit: 'ms' });
    report(seededFigure(await seed({ dataDir, origin: log.origin, entries: ENTRIES })));
    const readers = new Readers(join(dataDir, DATABASE_FILE));
    report(measured(readers, 'by one filter', Object.values(SINGLE)));
    report(measured(readers, 'by two', pairsOf(Object.values(SINGLE))));
    report(measured(readers, 'that finds nothing', Object.values(NOTHING)));
    for (const [name, search] of Object.entries(NOTHING))
      report(measured(readers, `nothing: ${name}`, [search]));
    readers.close();
    const startMs = await startOn(premises);
    const ratio = { value: startMs / emptyMs, to: 'an empty log' };
    const goal = asked(startMs, MOST_START_MS);
    report({ name: 'start on it', value: startMs, unit: 'ms', ratio, goal });
    const broker = await startSallyport(premises, 'http://127.0.0.1:9');
    try {
      report(await overHttp(broker.as('auditor')));
    } finally {
      await broker.close();
    }
  } finally {
    // Gigabytes, which the areas that follow may need.
    rmSync(dataDir, { recursive: true });
  }
};

/** From the command until it takes requests and has issued a token: the median of some starts. */
async function startOn(premises: Premises): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < ROUNDS; i += 1) {
    const begun = performance.now();
    const broker = await startSallyport(premises, 'http://127.0.0.1:9');
    times.push(performance.now() - begun);
    await broker.close();
  }
  return medianOf(times);
}

async function seed(question: SearchSeed): Promise<SearchSeeded> {
  const seeder = new Child(new URL('./search/seed.ts', import.meta.url));
  try {
    return await seeder.ask<SearchSeeded>(question);
  } finally {
    seeder.close();
  }
}

const seededFigure = ({ entries, seconds, bytes }: SearchSeeded): Figure => ({
  name: 'log, seeded',
  value: entries,
  unit: 'entries',
  details: { 'GiB of database': bytes / 2 ** 30, seconds },
});

/** Those that ask about different things. */
function pairsOf(searches: readonly EntrySearch[]): EntrySearch[] {
  return searches.flatMap((one, i) =>
    searches
      .slice(i + 1)
      .filter((other) => !Object.keys(other).some((field) => field in one))
      .map((other) => ({ ...one, ...other })),
  );
}

/** First pages in both directions; of each, the median of some rounds counts. */
function measured(readers: Readers, name: string, searches: readonly EntrySearch[]): Figure {
  const directions: Direction[] = ['oldest first', 'newest first'];
  const times = searches.flatMap((search) =>
    directions.map((direction) =>
      medianOf(
        Array.from({ length: ROUNDS }, () => {
          const begun = performance.now();
          readers.searchEntries(search, { direction, from: 0, below: Infinity, limit: PAGE });
          return performance.now() - begun;
        }),
      ),
    ),
  );
  const slowest = Math.max(...times);
  const { length: pages } = times;
  return {
    name: `page ${name}, slowest`,
    value: slowest,
    unit: 'ms',
    details: { searches: pages, 'median ms': medianOf(times) },
    goal: asked(slowest, MOST_MS),
  };
}

const asked = (value: number, most: number): string => `≤ ${most}${value <= most ? '' : ' MISSED'}`;

/** As an auditor asks, the entry that records the reading included. */
async function overHttp(auditor: BrokerClient): Promise<Figure> {
  const schema = z.looseObject({ items: z.array(z.looseObject({})) });
  const query = { purpose: 'bias', end: 'cut', newest: true, limit: PAGE };
  await auditor.get('/log/entries', schema, query);
  const times: number[] = [];
  for (let i = 0; i < 20; i += 1) {
    const begun = performance.now();
    await auditor.get('/log/entries', schema, query);
    times.push(performance.now() - begun);
  }
  const value = medianOf(times);
  return {
    name: 'page over HTTP, recorded',
    value,
    unit: 'ms',
    details: { 'slowest ms': Math.max(...times) },
    goal: asked(value, MOST_MS),
  };
}
