/** Archiving the oldest entries of the log, and pruning what is archived. */
import { EXPORT_LAYOUT, exportedDataSchema } from '../../core/audit/exports.ts';
import { readRawEntry, type RawEntry } from '../../core/audit/raw-entry.ts';
import {
  PRUNED_TOGETHER,
  holdInWords,
  prunableBefore,
  type RetentionPolicy,
} from '../../core/audit/retention.ts';
import { refuse } from '../../core/denials.ts';
import type { NoticeDraft } from '../../core/notices.ts';
import type { WriterContext } from '../context.ts';
import { findByRef } from '../entry-index.ts';
import { changedLast, introducersOf, isIntroducedBy } from '../introductions.ts';
import { notify } from '../notify.ts';
import { archiveOf, minimumIndex, readPrunings } from '../prunings.ts';
import { readMember } from '../records.ts';
import { retentionHolds, type Outside } from '../retention-holds.ts';
import { prunings } from '../schema.ts';
import type { ExportRecorded } from './exports.ts';
import { checkpointNow } from './log.ts';
import { controlOperation, type By } from './operation.ts';

const DAY_MS = 86_400_000;

interface RetentionArgs {
  by: By;
  /** Of the configuration; undefined: there is none. */
  policy: RetentionPolicy | undefined;
  outside: Outside;
  /** Whom it concerns. */
  to: NoticeDraft['to'];
}

export interface ArchiveArgs extends RetentionArgs {
  /** Of the export that makes it. */
  id: string;
  /** Up to the entry in front of this index; undefined: as far as retention allows. */
  before?: number | undefined;
}

/**
 * Fixes a signed checkpoint and records that the oldest entries are archived: those from the minimum index on. It tells
 * everybody concerned, whose evidence goes when they are pruned.
 */
export const recordArchive = controlOperation(
  'log.archive',
  (context, args: ArchiveArgs, who): ExportRecorded => {
    const { by, id, outside, to } = args;
    const from = minimumIndex(context.db);
    const policy = mustHavePolicy(args);
    const before = mustBePrunable(context, policy, outside, args.before);
    mustBeSettled(context, who.member.person.id, by.at, policy.noticeMs);
    const checkpoint = checkpointNow(context, by.at);
    const { size, note } = checkpoint;
    const pruned = new Date(by.at + policy.noticeMs).toISOString();
    const index = context.append({
      id: by.entryId,
      kind: 'audit.exported',
      at: by.at,
      actor: who.actor,
      ref: id,
      data: {
        format: 'archive',
        layout: EXPORT_LAYOUT,
        from,
        to: before,
        size,
        checkpoint: note,
        prunedFrom: pruned,
        archiveAfterDays: policy.archiveAfterMs / DAY_MS,
      },
    });
    notify(context, {
      kind: 'log.archived',
      ref: id,
      at: by.at,
      to,
      title: `The entries ${from} to ${before - 1} of the log ${context.log.origin} are archived, and can be pruned from ${pruned} on. Export by then what you need of them ("sallyport audit export"), and fetch your receipts.`,
      data: { from, before, prunedFrom: pruned },
    });
    return { index, ...checkpoint };
  },
  (args) => args.id,
);

export interface PruneArgs extends RetentionArgs {
  /** The export that made the archive. */
  exportId: string;
  /**
   * Whether whoever prunes showed that they have the archive, as it is made once more, and the SHA-256 of that, hex;
   * undefined: not yet, and nothing is pruned.
   */
  shown: { isSame: boolean; sha256: string } | undefined;
  /** Whether to decide, and prune nothing. */
  dryRun: boolean;
}

export interface Pruned {
  first: number;
  before: number;
  bytes: number;
}

/**
 * Prunes what an archive holds. The entries count as gone from this commit on; the writer takes their rows away in steps.
 * Whoever archived does not prune: what destroys evidence here takes two people.
 */
export const recordPruning = controlOperation(
  'log.prune',
  (context, args: PruneArgs, who): Pruned => {
    const { by, exportId, outside, to, dryRun } = args;
    const { db, log } = context;
    const archive = mustFindArchive(context, exportId);
    const policy = promised(archive, mustHavePolicy(args));
    const { from: first, to: before, size } = archive;
    if (first !== minimumIndex(db))
      refuse(
        'not_prunable',
        `The archive ${exportId} begins at entry ${first}, and the log at entry ${minimumIndex(db)}: an archive that is pruned by begins where the log does.`,
      );
    if (args.shown?.isSame === false)
      refuse(
        'not_prunable',
        `What you keep is not the archive ${exportId}: it is another file, or was changed. Archive again.`,
      );
    if (args.shown !== undefined && args.shown.sha256 !== archive.sha256)
      refuse(
        'not_prunable',
        `Made once more, the archive ${exportId} has another digest than the one on record. Archive again.`,
      );
    mustBeTwoPeople(context, archive, { by: who.member.person.id, at: by.at }, policy.noticeMs);
    const allowedAt = archive.at + policy.noticeMs;
    if (by.at < allowedAt)
      refuse(
        'not_prunable',
        `Everybody concerned was told of the archive: it can be pruned by from ${new Date(allowedAt).toISOString()} on.`,
      );
    mustBePrunable(context, policy, outside, before);
    const { bytes, sha256 } = archive;
    if (args.shown === undefined && !dryRun)
      throw new Error('Nothing is pruned before the archive was shown.');
    if (dryRun) return { first, before, bytes };
    const row = {
      before,
      first,
      exportId,
      sha256,
      bytes,
      size,
      archivedBy: archive.by,
      archivedAt: archive.at,
      by: who.member.person.id,
      at: by.at,
      entry: context.size,
    };
    db.insert(prunings).values(row).run();
    context.append({
      id: by.entryId,
      kind: 'log.pruned',
      at: by.at,
      actor: who.actor,
      ref: exportId,
      data: {
        before,
        first,
        bytes,
        size,
        checkpoint: archive.checkpoint,
        archivedBy: archive.by,
        archivedAt: new Date(archive.at).toISOString(),
        introducedBy: {
          archiver: introducersOf(db, archive.by),
          pruner: introducersOf(db, who.member.person.id),
        },
        archives: readPrunings(db).map((one) => ({ ...archiveOf(one) })),
      },
    });
    // At once, so that the newest checkpoint is never one of a log that does not say where its beginning is.
    checkpointNow(context, by.at);
    notify(context, {
      kind: 'log.pruned',
      ref: exportId,
      at: by.at,
      to,
      title: `The entries ${first} to ${before - 1} of the log ${log.origin} were pruned. They are in the archive ${exportId}, which ${archive.by}${nameOfLab(context, archive.by)} made. Proofs of them stay valid.`,
      data: { first, before, sha256 },
    });
    return { first, before, bytes };
  },
  ({ exportId }) => exportId,
);

const mustHavePolicy = ({ policy }: RetentionArgs): RetentionPolicy =>
  policy ??
  refuse(
    'not_prunable',
    'Nothing is archived or pruned: the configuration has no "retention". docs/retention.md says what it does.',
  );

/** The lab of whoever made an archive: it may be one of auditors, which then is who keeps it. */
function nameOfLab({ db }: WriterContext, person: string): string {
  const lab = readMember(db, person)?.lab.name;
  return lab === undefined ? '' : ` of ${lab}`;
}

/** What was promised when an archive was made binds, and so does the policy of today. */
const promised = (
  { at, prunedFrom, archiveAfterDays = 0 }: RecordedArchive,
  { archiveAfterMs, noticeMs }: RetentionPolicy,
): RetentionPolicy => ({
  archiveAfterMs: Math.max(archiveAfterMs, archiveAfterDays * DAY_MS),
  noticeMs: Math.max(noticeMs, prunedFrom - at),
});

/**
 * That an account with its keys and roles is older than the time of notice: who makes a second one to act as two people
 * does it in the open, and waits.
 *
 * @param at when they act, epoch milliseconds
 * @throws RefusedError `second_person_needed`
 */
function mustBeSettled({ db }: WriterContext, person: string, at: number, noticeMs: number): void {
  const settled = changedLast(db, person, at) + noticeMs;
  if (at >= settled) return;
  refuse(
    'second_person_needed',
    `Your account, a key of yours, your roles or the identity of your lab changed within the time of notice: whoever archives or prunes has had them for longer. Do it from ${new Date(settled).toISOString()} on, or let another person do it.`,
  );
}

/**
 * That whoever archived and whoever prunes are two people, as far as the database can know: neither could speak as the other.
 *
 * @throws RefusedError `second_person_needed`
 */
function mustBeTwoPeople(
  context: WriterContext,
  archived: { by: string; at: number },
  prunes: { by: string; at: number },
  noticeMs: number,
): void {
  const { db } = context;
  if (archived.by === prunes.by)
    refuse(
      'second_person_needed',
      'Whoever archived entries may not prune them. Another person must.',
    );
  if (isIntroducedBy(db, archived.by, prunes.by) || isIntroducedBy(db, prunes.by, archived.by))
    refuse(
      'second_person_needed',
      'You and whoever archived these entries may be one person: one of you registered or invited the other, gave them a key or roles, or registered the identity of their lab, or did so to whoever did. Another admin must prune.',
    );
  if (archived.at < changedLast(db, archived.by, archived.at) + noticeMs)
    refuse(
      'second_person_needed',
      'Whoever archived these entries had their account, a key, their roles or the identity of their lab for less than the time of notice. Archive again.',
    );
  mustBeSettled(context, prunes.by, prunes.at, noticeMs);
}

/**
 * As far as may be pruned: as far as is asked for, if nothing stands against it.
 *
 * @throws RefusedError `not_prunable` with what does
 */
function mustBePrunable(
  { db, size }: WriterContext,
  policy: RetentionPolicy,
  outside: Outside,
  asked: number | undefined,
): number {
  const first = minimumIndex(db);
  const holds = retentionHolds(db, size, policy, outside);
  const most = prunableBefore(size, holds);
  const before = asked ?? most;
  const [least] = holds.toSorted((one, other) => one.index - other.index);
  const because = least ? `: ${holdInWords(least)}` : '';
  if (before % PRUNED_TOGETHER !== 0)
    refuse('not_prunable', 'Whole bundles are pruned: give a multiple of 256.', {
      param: 'before',
    });
  if (before > most)
    refuse('not_prunable', `Retention goes as far as the entries below ${most}${because}.`);
  if (before <= first)
    refuse(
      'not_prunable',
      `There is nothing to archive: the log begins at entry ${first}, and retention goes as far as the entries below ${most}${because}.`,
    );
  return before;
}

interface RecordedArchive {
  from: number;
  to: number;
  size: number;
  checkpoint: string;
  by: string;
  /** Epoch milliseconds. */
  at: number;
  sha256: string;
  bytes: number;
  /** As everybody concerned was told; epoch milliseconds. */
  prunedFrom: number;
  archiveAfterDays: number | undefined;
}

/** An archive that is on record, and was read to its end. @throws RefusedError */
function mustFindArchive(context: WriterContext, exportId: string): RecordedArchive {
  const made = entryAbout(context, exportId, 'audit.exported');
  const said = made && exportedDataSchema.safeParse(made.data).data;
  if (!made || said?.format !== 'archive' || made.actor.person === undefined)
    return refuse('not_found', 'There is no such archive. "sallyport audit archive" makes one.');
  const done = entryAbout(context, exportId, 'audit.export_completed')?.data;
  const { sha256, bytes, entries } = done ?? {};
  if (typeof sha256 !== 'string' || typeof bytes !== 'number')
    return refuse(
      'not_prunable',
      'The archive was not read to its end: whoever made it goes on with "sallyport audit archive --resume".',
    );
  if (entries !== said.to - said.from)
    return refuse(
      'not_prunable',
      'The archive has not as many entries on record as it is of. Archive again.',
    );
  const { from, to, size, checkpoint, prunedFrom, archiveAfterDays } = said;
  const at = Date.parse(made.at);
  return {
    from,
    to,
    size,
    checkpoint,
    by: made.actor.person,
    at,
    sha256,
    bytes,
    prunedFrom: prunedFrom === undefined ? at : Date.parse(prunedFrom),
    archiveAfterDays,
  };
}

function entryAbout(
  { db, size, indexed }: WriterContext,
  ref: string,
  kind: string,
): RawEntry | undefined {
  const found = findByRef(db, { ref, kind }, { size, committed: indexed });
  return found && readRawEntry(found.bytes);
}
