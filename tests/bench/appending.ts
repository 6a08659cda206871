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
import { makeWorld, reserveArgs, settleArgs, type Write } from '../support/store.ts';
import { entryAt } from './search/sample.ts';

const WRITER_THREAD = new URL('../../dist/writer.js', import.meta.url);
const ORIGIN = 'bench.sallyport.invalid/log';

const ONE_BY_ONE = 2_000;
const TOGETHER = 20_000;
/** Entries of a commit of the writer alone. The broker's own commits have at most MAX_BATCH. */
const BATCH = 4_096;
const BATCHES = 12;
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
  figure('entries of calls, one by one', by.one, LEAST.one);
  figure(`entries of calls, by ${MAX_BATCH} callers at a time`, by.together);
  figure(`entries alone, in commits of ${BATCH}, by the writer`, by.batches, LEAST.batches);
};

/** As the gateway appends: through the writer's thread, an intent and an outcome of each call, by callers who wait for each. */
async function throughTheThread(by: { one: number[]; together: number[] }): Promise<void> {
  const dataDir = newDataDirectory();
  const settings = { dataDir, origin: ORIGIN, rules: DEFAULT_RULES };
  const store = await Store.open(WRITER_THREAD, settings, systemClock);
  let epoch = 0;
  store.subscribe({ onPolicyChanged: (_some, now) => void (epoch = now), onFatal: fail });
  const write: Write = (name, args) => store.write(name, args);
  const world = await makeWorld(write, Date.now());
  const call = async (): Promise<void> => {
    const at = Date.now();
    const asked = reserveArgs(world, { epoch, at });
    await store.write('reserve', asked);
    const used = { tokens: 90, spendNanoUsd: 900 };
    await store.write('settle', settleArgs(asked.facts.requestId, at, used));
  };
  by.one.push(2e9 / (await costInLanes(ONE_BY_ONE / 2, 1, call)).elapsed);
  by.together.push(2e9 / (await costInLanes(TOGETHER / 2, MAX_BATCH, call)).elapsed);
  await store.close();
  rmSync(dataDir, { recursive: true });
}

function fail(reason: string): never {
  throw new Error(reason);
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
    Array.from({ length: BATCH }, (_entry, n): Call => ({
      id: n,
      name: 'recordEntry',
      args: { entry: entryAt(i * BATCH + n, Date.now()) },
      notAfter: Infinity,
    })),
  );
  const { elapsed } = await costOf(BATCHES * BATCH, () => {
    for (const batch of batches) {
      const { answers, why } = committer.commit(batch);
      const other = answers.find((answer) => !('value' in answer));
      if (other !== undefined) throw new Error(why ?? JSON.stringify(other));
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
