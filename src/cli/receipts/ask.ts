/** Asks the broker for receipts and statements, page by page, as of one checkpoint. */
import type { z } from 'zod';
import type { BrokerClient, Query } from '../broker-client.ts';
import { RefusedByBroker } from '../problems.ts';
import {
  receiptsSchema,
  statedEntriesSchema,
  statementsSchema,
  type StatedEntry,
  type Statement,
  type StatementCheckpoint,
} from './wire.ts';

/** Receipts that the broker gives at a time. */
export const RECEIPTS_AT_A_TIME = 100;

/** Which calls; days are UTC days. */
export interface WhichCalls {
  person?: string | undefined;
  run?: string | undefined;
  day?: string | undefined;
  since?: string | undefined;
}

export interface Found<T> {
  checkpoint: StatementCheckpoint;
  items: T[];
  /** Entries in front of this index are in archives; null: nothing was pruned. */
  archivedBefore: number | null;
}

/** All statements of these calls. @throws CliError */
export function askStatements(broker: BrokerClient, which: WhichCalls): Promise<Found<Statement>> {
  return allPages(broker, '/statements', statementsSchema, { ...which });
}

/**
 * All entries that the statements of one person count: of the one that is named, or whose run is, or whoever asks.
 *
 * @param size of the checkpoint as of which; undefined: a new one
 * @throws CliError
 */
export function askStatedEntries(
  broker: BrokerClient,
  which: WhichCalls,
  size?: number,
): Promise<Found<StatedEntry>> {
  return allPages(broker, '/statements/entries', statedEntriesSchema, { ...which, size });
}

/** Receipts of these requests, at most {@link RECEIPTS_AT_A_TIME}, by id; those that are not there are absent. @throws CliError */
export async function askReceipts(
  broker: BrokerClient,
  requests: readonly string[],
): Promise<Map<string, string>> {
  const query = { requests: requests.join(',') };
  const { items } = await broker.get('/log/receipts', receiptsSchema, query);
  return new Map(items.map(({ request, receipt }) => [request, receipt]));
}

/** The receipt of one entry; undefined where the broker has none for whoever asks. @throws CliError */
export async function askEntryReceipt(
  broker: BrokerClient,
  index: number,
): Promise<Buffer | undefined> {
  try {
    const answer = await broker.request('GET', `/log/receipts/${index}`);
    return Buffer.from(await answer.arrayBuffer());
  } catch (error) {
    if (error instanceof RefusedByBroker) return undefined;
    throw error;
  }
}

interface PageSchema<T> {
  checkpoint: StatementCheckpoint;
  items: T[];
  next: string | null;
  archivedBefore: number | null;
}

async function allPages<T>(
  broker: BrokerClient,
  path: string,
  schema: z.ZodType<PageSchema<T>>,
  query: Query,
): Promise<Found<T>> {
  const first = await broker.get(path, schema, query);
  const { checkpoint, items, archivedBefore } = first;
  for (let { next } = first; next !== null;) {
    const page = await broker.get(path, schema, { ...query, size: checkpoint.size, cursor: next });
    items.push(...page.items);
    next = page.next;
  }
  return { checkpoint, items, archivedBefore };
}
