/**
 * The process that writes a long log to search in: entries, index and tiles as the writer thread writes them, without waiting
 * for the disk and without the ledger of the requests, which searches do not look at.
 */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { loadLogKey } from '../../../src/audit/log-key.ts';
import { writeEntry, type EntryDraft } from '../../../src/core/audit/entry.ts';
import { DEFAULT_RULES } from '../../../src/core/authority-rules.ts';
import { mintId } from '../../../src/lib/ids.ts';
import { WriterContext } from '../../../src/store/context.ts';
import { DATABASE_FILE, openForWriting, withDrizzle } from '../../../src/store/database.ts';
import { indexRefs, indexedUpTo } from '../../../src/store/entry-index.ts';
import { SearchIndex } from '../../../src/store/search-index.ts';
import { checkpointNow } from '../../../src/store/operations/log.ts';
import { growTiles } from '../../../src/store/tree.ts';
import { answerParent } from '../gateway/child.ts';
import { SAMPLE, idOf } from './sample.ts';

export interface SearchSeed {
  dataDir: string;
  origin: string;
  entries: number;
}

export interface SearchSeeded {
  entries: number;
  seconds: number;
  /** Of the database. */
  bytes: number;
}

const PER_COMMIT = 512;

/** The past over which the entries are spread. */
const SPREAD_MS = 90 * 86_400_000;

answerParent(async ({ dataDir, origin, entries }: SearchSeed): Promise<SearchSeeded> => {
  const begun = performance.now();
  const path = join(dataDir, DATABASE_FILE);
  const connection = openForWriting(path);
  connection.pragma('synchronous = OFF');
  connection.pragma('cache_size = -300000');
  const key = loadLogKey(join(dataDir, 'keys', 'log.pem'), origin);
  let now = Date.now() - SPREAD_MS;
  const db = withDrizzle(connection);
  const context = new WriterContext(db, key, () => Math.floor(now), DEFAULT_RULES);
  const index = new SearchIndex(db);
  const step = SPREAD_MS / entries;
  while (context.size < entries) {
    connection.exec('BEGIN');
    const before = context.size;
    for (let i = 0; i < PER_COMMIT; i += 1) {
      now += step;
      context.appendWritten(writeEntry(entryAt(context.size, Math.floor(now))));
    }
    indexRefs(db, before, context.size);
    index.follow(context.size);
    growTiles(context, indexedUpTo(context.size));
    connection.exec('COMMIT');
    context.keep();
  }
  connection.exec('BEGIN');
  checkpointNow(context, Date.now());
  connection.exec('COMMIT');
  const { size } = context;
  connection.close();
  const seconds = (performance.now() - begun) / 1000;
  return { entries: size, seconds, bytes: statSync(path).size };
});

const COMMITMENT = 'K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=';

/** Two entries of each request in turn; now and then another kind. */
function entryAt(n: number, at: number): EntryDraft {
  const request = n >>> 1;
  const { labs, people, grants, tokens, runs, purposes, models } = SAMPLE;
  const lab = idOf('lab', request % labs);
  const person = idOf('per', request % people);
  const draft: EntryDraft = {
    id: mintId('ent', at),
    kind: n % 2 === 0 ? 'request.intent' : 'request.outcome',
    at,
    actor: { person, lab, roles: ['researcher'] },
    ref: idOf('req', request),
    lab,
    person,
    grant: idOf('grt', request % grants),
    grantVersion: 1,
    token: idOf('tok', Math.floor(request / (2_500_000 / tokens))),
    purpose: purposes[request % purposes.length],
    run: idOf('run', request % runs),
    endpoint: request % 7 === 0 ? 'other' : 'demo',
    // Each purpose has models of its own: two frequent values that never meet.
    model: models[request % models.length],
    operation: request % 5 === 0 ? 'messages' : 'chat.completions',
  };
  if (n % 100_000 === 77_777)
    return {
      ...draft,
      kind: 'order.issued',
      ref: idOf('ord', n),
      lab: undefined,
      data: { grant: idOf('grt', 0) },
    };
  if (n % 2 === 0)
    return {
      ...draft,
      decision: 'allowed',
      data: {
        safeguardsLifted: ['output-classifier'],
        features: ['systemPrompt'],
        requestBytes: 300,
        requestCommitment: COMMITMENT,
        stream: false,
        reserved: { tokens: 190, spendNanoUsd: 1_338_000 },
      },
    };
  const end = request % 50 === 0 ? 'cut' : 'completed';
  return {
    ...draft,
    ...(end === 'cut' ? { reason: 'grant_suspended', orders: [idOf('ord', request % 10)] } : {}),
    data: {
      upstreamStatus: 200,
      durationMs: 412,
      firstByteMs: 80,
      responseBytes: 450,
      responseCommitment: COMMITMENT,
      modelAnswered: draft.model,
      end,
      usage: { inputTokens: 40, outputTokens: 64, source: 'reported' },
      charged: { requests: 1, tokens: 104, spendNanoUsd: 1_080_000 },
    },
  };
}
