/** Entries into the log, durable: one by one as a caller waits for each, and in commits as large as the writer makes them. */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { createLogKey } from '../../src/audit/log-key.ts';
import { DEFAULT_RULES } from '../../src/core/authority-rules.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { Store } from '../../src/store/client.ts';
import { WriterContext } from '../../src/store/context.ts';
import { DATABASE_FILE, openForWriting, withDrizzle } from '../../src/store/database.ts';
import { GroupCommit, MAX_BATCH, type Call } from '../../src/store/group-commit.ts';
import { migrate } from '../../src/store/migrations.ts';
import { newDirectory } from './gateway/program.ts';
import { costInLanes, costOf, medianOf, type Area } from './harness.ts';
import { entryAt } from './search/sample.ts';

const WRITER_THREAD = new URL('../../dist/writer.js', import.meta.url);
const ORIGIN = 'bench.sallyport.invalid/log';

const ONE_BY_ONE = 2_000;
const TOGETHER = 20_000;
const BATCHES = 100;
const ROUNDS = 3;

/** Asked for: entries a second. */
const LEAST = { one: 2_000, batches: 50_000 };

export const appending: Area = async (report) => {
  const by = { one: [] as number[], together: [] as number[], batches: [] as number[] };
  for (let round = 0; round < ROUNDS; round += 1) {
    await throughTheThread(by);
    await inBatches(by);
  }
  const figure = (name: string, rates: number[], least?: number): void => {
    const value = medianOf(rates);
    const goal = least && { goal: `≥ ${least}${value >= least ? '' : ' MISSED'}` };
    const details = { slowest: Math.min(...rates), quickest: Math.max(...rates) };
    report({ name, value, unit: 'a second', details, ...goal });
  };
  figure('appended one by one', by.one, LEAST.one);
  figure(`by ${MAX_BATCH} callers at a time, with what each is told`, by.together);
  figure(`in commits of ${MAX_BATCH}, by the writer`, by.batches, LEAST.batches);
};

/** As the broker appends: through the writer's thread, each caller waiting for its own entry. */
async function throughTheThread(by: { one: number[]; together: number[] }): Promise<void> {
  const dataDir = newDataDirectory();
  const settings = { dataDir, origin: ORIGIN, rules: DEFAULT_RULES };
  const store = await Store.open(WRITER_THREAD, settings, systemClock);
  const append = (n: number): Promise<unknown> =>
    store.write('recordEntry', { entry: entryAt(n, Date.now()) });
  by.one.push(1e9 / (await costInLanes(ONE_BY_ONE, 1, append)).elapsed);
  by.together.push(1e9 / (await costInLanes(TOGETHER, MAX_BATCH, append)).elapsed);
  await store.close();
  rmSync(dataDir, { recursive: true });
}

/** What the writer's thread does with full batches, without the messages to it and back. */
async function inBatches(by: { batches: number[] }): Promise<void> {
  const dataDir = newDataDirectory();
  const connection = openForWriting(join(dataDir, DATABASE_FILE));
  migrate(connection);
  const key = createLogKey(join(dataDir, 'keys', 'log.pem'), ORIGIN);
  const context = new WriterContext(withDrizzle(connection), key, systemClock, DEFAULT_RULES);
  context.writeMeta('log_origin', ORIGIN);
  const committer = new GroupCommit(context);
  committer.takeOver();
  const batches = Array.from({ length: BATCHES }, (_, i) =>
    Array.from({ length: MAX_BATCH }, (_entry, n): Call => ({
      id: n,
      name: 'recordEntry',
      args: { entry: entryAt(i * MAX_BATCH + n, Date.now()) },
      notAfter: Infinity,
    })),
  );
  const { elapsed } = await costOf(BATCHES * MAX_BATCH, () => {
    for (const batch of batches) {
      const { why } = committer.commit(batch);
      if (why !== undefined) throw new Error(why);
    }
    return Promise.resolve();
  });
  by.batches.push(1e9 / elapsed);
  connection.close();
  rmSync(dataDir, { recursive: true });
}

function newDataDirectory(): string {
  const dataDir = newDirectory();
  mkdirSync(join(dataDir, 'keys'), { mode: 0o700 });
  return dataDir;
}
