/**
 * The process that writes a long log to search in: entries, index and tiles as the writer thread writes them, without waiting
 * for the disk and without the ledger of the requests, which searches do not look at.
 */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { loadLogKey } from '../../../src/audit/log-key.ts';
import { writeEntry } from '../../../src/core/audit/entry.ts';
import { DEFAULT_RULES } from '../../../src/core/authority-rules.ts';
import { WriterContext } from '../../../src/store/context.ts';
import { DATABASE_FILE, openForWriting, withDrizzle } from '../../../src/store/database.ts';
import { indexRefs, indexedUpTo } from '../../../src/store/entry-index.ts';
import { SearchIndex } from '../../../src/store/search-index.ts';
import { checkpointNow } from '../../../src/store/operations/log.ts';
import { growTiles } from '../../../src/store/tree.ts';
import { answerParent } from '../gateway/child.ts';
import { entryAt } from './sample.ts';

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
