/**
 * The process that writes a long log of calls, entries and what leads to them alone: no ledger, no limits. A quarter of the
 * time that seed-log.ts takes.
 */
import { loadLogKey } from '../../../src/audit/log-key.ts';
import { DEFAULT_RULES } from '../../../src/core/authority-rules.ts';
import { mintId } from '../../../src/lib/ids.ts';
import { indexCalls } from '../../../src/store/call-index.ts';
import { WriterContext } from '../../../src/store/context.ts';
import { DATABASE_FILE, openForWriting, withDrizzle } from '../../../src/store/database.ts';
import { indexRefs } from '../../../src/store/entry-index.ts';
import { checkpointNow } from '../../../src/store/operations/log.ts';
import { SearchIndex } from '../../../src/store/search-index.ts';
import { growTiles } from '../../../src/store/tree.ts';
import { join } from 'node:path';
import { answerParent } from './child.ts';

export interface CallsOrder {
  dataDir: string;
  origin: string;
  entries: number;
  labId: string;
  grantId: string;
  model: string;
  /** Whose calls they are, by turns. */
  people: string[];
}

export interface SeededCalls {
  entries: number;
  seconds: number;
  /** Ids of requests, some of all. */
  requests: string[];
}

const DAY_MS = 86_400_000;
const DAYS = 30;
/** Runs of each person. */
const RUNS = 20;
const PER_COMMIT = 20_480;
const KEPT = 1_000;

answerParent((order: CallsOrder): Promise<SeededCalls> => {
  const begun = performance.now();
  const connection = openForWriting(join(order.dataDir, DATABASE_FILE));
  connection.pragma('synchronous = OFF');
  connection.pragma('cache_size = -500000');
  const key = loadLogKey(join(order.dataDir, 'keys', 'log.pem'), order.origin);
  let now = Date.now() - DAYS * DAY_MS;
  const context = new WriterContext(withDrizzle(connection), key, () => now, DEFAULT_RULES);
  const index = new SearchIndex(context.db);
  const first = context.size;
  const step = (DAYS * DAY_MS) / order.entries;
  const requests: string[] = [];
  const every = Math.ceil(order.entries / 2 / KEPT);
  for (let n = 0; context.size < order.entries;) {
    const before = context.size;
    connection.transaction(() => {
      for (const end = before + PER_COMMIT; context.size < end; n += 1) {
        now += 2 * step;
        const request = appendCall(context, order, n, now);
        if (n % every === 0) requests.push(request);
      }
      indexRefs(context.db, before, context.size);
      for (let isBehind = true; isBehind;) isBehind = index.follow(context.size);
      indexCalls(context.db, before, context.size);
      growTiles(context, context.size);
    })();
    context.keep();
  }
  connection.transaction(() => checkpointNow(context, Date.now()))();
  const entries = context.size - first;
  connection.close();
  return Promise.resolve({ entries, seconds: (performance.now() - begun) / 1000, requests });
});

function appendCall(
  context: WriterContext,
  { people, labId, grantId, model }: CallsOrder,
  n: number,
  now: number,
): string {
  const at = Math.floor(now);
  const person = people[n % people.length] as string;
  const request = mintId('req', at);
  const run = `run_${String(n % (people.length * RUNS)).padStart(26, '0')}`;
  const both = {
    at,
    actor: { person, lab: labId, roles: ['researcher'] },
    ref: request,
    lab: labId,
    person,
    grant: grantId,
    grantVersion: 1,
    token: 'tok_seeded',
    purpose: 'hallucination',
    run,
    endpoint: 'demo',
    model,
    operation: 'chat.completions',
  };
  const commitment = 'x'.repeat(44);
  context.append({
    ...both,
    id: mintId('ent', at),
    kind: 'request.intent',
    decision: 'allowed',
    data: {
      safeguardsLifted: ['output-classifier'],
      requestBytes: 300,
      requestCommitment: commitment,
    },
  });
  const usage = { inputTokens: 40, outputTokens: 64, source: 'reported' };
  const charged = { requests: 1, tokens: 104, spendNanoUsd: 1_080_000 };
  context.append({
    ...both,
    id: mintId('ent', at),
    kind: 'request.outcome',
    data: { upstreamStatus: 200, responseCommitment: commitment, end: 'completed', usage, charged },
  });
  return request;
}
