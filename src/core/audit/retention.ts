/** Retention of the log: what may be archived and pruned, and what holds entries back. */
import { z } from 'zod';

const DAY_MS = 86_400_000;

/** Whole entry bundles alone are pruned (C2SP tlog-tiles): the minimum index is a multiple of this. */
export const PRUNED_TOGETHER = 256;

/** The part `retention` of the configuration. Without it, nothing is ever pruned. */
export const retentionSchema = z
  .strictObject({
    archiveAfterDays: z.int().min(30).max(36_500),
    noticeDays: z.int().min(1).max(365).default(14),
  })
  .transform(({ archiveAfterDays, noticeDays }) => ({
    archiveAfterMs: archiveAfterDays * DAY_MS,
    noticeMs: noticeDays * DAY_MS,
  }));

/** Milliseconds. */
export interface RetentionPolicy {
  /** An entry is archived and pruned no sooner than so long after the log took it. */
  archiveAfterMs: number;
  /** Everybody concerned is told of an archive so long before what it holds is pruned. */
  noticeMs: number;
}

/** Why entries stay. */
type HoldReason =
  | 'too_new'
  | 'incident'
  | 'order'
  | 'dispute'
  | 'request'
  | 'export'
  | 'forwarding'
  | 'transcripts';

/** The entries from an index on are needed by something. */
export interface Hold {
  why: HoldReason;
  /** What needs them; undefined where that is no thing of its own. */
  id?: string | undefined;
  index: number;
}

/** What was archived and pruned at once: the entries `first` to `before - 1`. */
export interface Archive {
  first: number;
  before: number;
  /** Id of the export that made it. */
  export: string;
  /** Of the archive, hex. */
  sha256: string;
  /** The person who made it: an auditor of the host, or of an auditor lab. */
  archivedBy: string;
}

/** As far as entries may be pruned: the first that is needed, down to a whole bundle. @param size of the log */
export function prunableBefore(size: number, holds: readonly Hold[]): number {
  const least = Math.min(size, ...holds.map(({ index }) => index));
  return least - (least % PRUNED_TOGETHER);
}

const REASONS: Record<HoldReason, string> = {
  too_new: 'is not older than the policy asks for',
  incident: 'belongs to an incident that is not closed',
  order: 'is of an order in force',
  dispute: 'is of an objection that is not decided',
  request: 'is of a request without an outcome',
  export: 'is of an export that was not read to its end',
  forwarding: 'has not arrived at a receiver of the log',
  transcripts: 'is of the time of transcripts that are kept',
};

/** Why an entry stays, in words. */
export const holdInWords = ({ why, id, index }: Hold): string =>
  `entry ${index} ${REASONS[why]}${id === undefined ? '' : ` (${id})`}`;
