/** The process that writes a long log: the writer thread's own work, without waiting for the disk. */
import { DEFAULT_RULES } from '../../../src/core/authority-rules.ts';
import { createHmac, randomBytes } from 'node:crypto';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { loadLogKey } from '../../../src/audit/log-key.ts';
import { budgetsSchema, limitsSchema, type ScopeCaps } from '../../../src/core/limits.ts';
import { jsonMembers } from '../../../src/core/audit/entry.ts';
import {
  outcomeMembers,
  requestSubject,
  type Charge,
  type RequestFacts,
} from '../../../src/core/requests.ts';
import { mintId } from '../../../src/lib/ids.ts';
import { WriterContext } from '../../../src/store/context.ts';
import { DATABASE_FILE, openForWriting, withDrizzle } from '../../../src/store/database.ts';
import { GroupCommit, type Call } from '../../../src/store/group-commit.ts';
import type { ReserveArgs, SettleArgs } from '../../../src/store/operations/requests.ts';
import { answerParent } from './child.ts';

export interface SeedOrder {
  dataDir: string;
  origin: string;
  /** Of each request: all but its own id. */
  facts: Omit<RequestFacts, 'requestId'>;
  entries: number;
}

export interface Seeded {
  entries: number;
  seconds: number;
  /** Of the database. */
  bytes: number;
}

const PER_COMMIT = 500;

const DAY_MS = 86_400_000;

/** The past over which the requests are spread: windows of a minute or a day hold what they would. */
const SPREAD_MS = 30 * DAY_MS;

/** Nothing that was seeded lies in the minute before the load. */
const ENDED_MS_AGO = 3_600_000;

const NO_CAPS: ScopeCaps = {
  scope: 'grant',
  limits: limitsSchema.parse({}),
  budgets: budgetsSchema.parse({}),
};

const PROMPT = Buffer.alloc(300, 'x');

answerParent(async (order: SeedOrder): Promise<Seeded> => {
  const begun = performance.now();
  const path = join(order.dataDir, DATABASE_FILE);
  const connection = openForWriting(path);
  connection.pragma('synchronous = OFF');
  connection.pragma('cache_size = -500000');
  const key = loadLogKey(join(order.dataDir, 'keys', 'log.pem'), order.origin);
  let now = Date.now() - SPREAD_MS - ENDED_MS_AGO;
  const context = new WriterContext(withDrizzle(connection), key, () => now, DEFAULT_RULES);
  const group = new GroupCommit(context);
  const requests = Math.max(0, Math.ceil((order.entries - context.size) / 2));
  const step = SPREAD_MS / requests;
  const commit = (calls: Call[]): void => {
    const failed = group.commit(calls).answers.find((answer) => !('value' in answer));
    if (failed) throw new Error(`The log was not seeded: ${JSON.stringify(failed)}`);
  };
  for (let done = 0; done < requests; done += PER_COMMIT) {
    const calls: Call[] = [];
    for (let i = done; i < Math.min(done + PER_COMMIT, requests); i += 1) {
      now += step;
      calls.push(...requestAt(Math.floor(now), order.facts, context.epoch));
    }
    commit(calls);
  }
  now = Date.now();
  commit([{ id: 0, name: 'publishCheckpoint', args: { at: now }, notAfter: Infinity }]);
  const entries = context.size;
  connection.close();
  const seconds = (performance.now() - begun) / 1000;
  return { entries, seconds, bytes: statSync(path).size };
});

/** The two calls of a request, as the gateway makes them. */
function requestAt(at: number, facts: SeedOrder['facts'], epoch: number): Call[] {
  const requestId = mintId('req', at);
  const salt = randomBytes(16);
  const commitment = createHmac('sha256', salt).update(PROMPT).digest('base64');
  const reserve: ReserveArgs = {
    epoch,
    at,
    entryId: mintId('ent', at),
    facts: { ...facts, requestId },
    subject: requestSubject({ ...facts, requestId }),
    capsNumber: 1,
    caps: JSON.stringify([NO_CAPS, NO_CAPS]),
    amount: { tokens: 190, spendNanoUsd: 1_338_000 },
    salt: salt.toString('base64'),
    data: jsonMembers({
      safeguardsLifted: ['output-classifier'],
      features: ['systemPrompt'],
      requestBytes: PROMPT.length,
      requestCommitment: commitment,
    }),
    stream: false,
    recordRefusal: true,
  };
  const charge: Charge = { requests: 1, tokens: 104, spendNanoUsd: 1_080_000 };
  const settle: SettleArgs = {
    requestId,
    at,
    entryId: mintId('ent', at),
    charge,
    result: outcomeMembers(
      'completed',
      { inputTokens: 40, outputTokens: 64, source: 'reported' },
      charge,
    ),
    data: jsonMembers({
      upstreamStatus: 200,
      modelAnswered: facts.model,
      responseBytes: 450,
      responseCommitment: commitment,
    }),
  };
  return [
    { id: 0, name: 'reserve', args: reserve, notAfter: Infinity },
    { id: 0, name: 'settle', args: settle, notAfter: Infinity },
  ];
}
