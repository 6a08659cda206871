/** Retention of the log: what it allows, and pruning what is archived. */
import {
  prunableBefore,
  type Archive,
  type Hold,
  type RetentionPolicy,
} from '../core/audit/retention.ts';
import { readRawEntry } from '../core/audit/raw-entry.ts';
import { archiveOf, type Pruning } from '../store/prunings.ts';
import type { PruneArgs } from '../store/operations/retention.ts';
import type { Broker } from './broker.ts';
import { mayRead } from './reach.ts';

/** Outside what the database of the log knows: what retention is decided on, and whom it concerns. */
export function retentionFacts(broker: Broker): Pick<PruneArgs, 'policy' | 'outside' | 'to'> {
  return {
    policy: broker.retention,
    outside: outsideOf(broker),
    to: [...broker.policy.labs()].map(({ id }) => ({ labId: id })),
  };
}

const outsideOf = (broker: Broker): PruneArgs['outside'] => ({
  now: broker.clock(),
  receivers: broker.forwarding.shown().map(({ id, next }) => ({ id, next })),
  oldestTranscript: broker.transcriptReader.oldest(),
});

/** What retention comes to at the moment. */
export interface ShownRetention {
  policy: RetentionPolicy | undefined;
  size: number;
  /** The log's minimum index. */
  begins: number;
  /** As far as entries may be archived now. */
  before: number;
  /** What holds entries back, the oldest first. */
  holds: Hold[];
  /** Whether rows are still being taken away that were pruned. */
  isRemoving: boolean;
}

/** More would not be read. */
const MOST_HOLDS = 100;

export async function showRetention(broker: Broker, actorId: string): Promise<ShownRetention> {
  mayRead(broker, actorId, 'retention.read');
  await broker.store.caughtUp();
  const { readers, retention: policy } = broker;
  const size = readers.logSize();
  const begins = readers.minimumIndex();
  const holds = policy ? readers.retentionHolds(size, policy, outsideOf(broker)) : [];
  return {
    policy,
    size,
    begins,
    before: policy ? Math.max(begins, prunableBefore(size, holds)) : begins,
    holds: holds.toSorted((one, other) => one.index - other.index).slice(0, MOST_HOLDS),
    isRemoving: readers.arePrunedLeft(),
  };
}

/** What was archived and pruned, oldest first. It says nothing of what is in it. */
export function listArchives(broker: Broker, actorId: string): Pruning[] {
  mayRead(broker, actorId, 'log.read');
  return broker.readers.listPrunings();
}

/** Whether entries of that moment, epoch milliseconds, or of before were pruned. */
export function isPruned({ readers }: Pick<Broker, 'readers'>, since: number): boolean {
  const begins = readers.minimumIndex();
  const first = begins === 0 ? undefined : readers.firstEntryFrom(begins);
  return first !== undefined && since <= Date.parse(readRawEntry(first.bytes).committedAt);
}

/** The archives in which what was pruned is. */
export const archivesOf = ({ readers }: Pick<Broker, 'readers'>): Archive[] =>
  readers.listPrunings().map(archiveOf);
