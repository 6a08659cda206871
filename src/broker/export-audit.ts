/** Exporting the audit log: begun once, and resumed where it was cut. */
import type { Readable } from 'node:stream';
import type { Written } from '../audit/exports/chunk-sink.ts';
import type { ExportPlan } from '../audit/exports/export-plan.ts';
import {
  EXPORT_LAYOUT,
  RESUMABLE_MS,
  exportedDataSchema,
  type ExportedFormat,
  type ExportedData,
} from '../core/audit/exports.ts';
import type { EntryDraft } from '../core/audit/entry.ts';
import { readRawEntry } from '../core/audit/raw-entry.ts';
import { refuseArchived } from '../core/audit/archived.ts';
import { refuse } from '../core/denials.ts';
import type { Lab } from '../core/people.ts';
import { mintId } from '../lib/ids.ts';
import { actorOf } from '../store/operations/operation.ts';
import { archiveOf } from '../store/prunings.ts';
import type { ExportArgs } from '../store/operations/exports.ts';
import type { Broker } from './broker.ts';
import { by } from './by.ts';
import { keyHistoryOf, logKeyOf } from './rotate-log-key.ts';
import type { ExportSlot } from './export-slots.ts';
import type { Progress } from './export-threads.ts';
import { mayRead } from './reach.ts';
import { retentionFacts } from './retention.ts';

/** Patient: what was made for minutes is not to be lost to a disk that is busy for a second. */
const RECORD_WITHIN_MS = 10_000;

export type ExportAsked = Omit<ExportArgs, 'by' | 'id' | 'size'> & { witnessed?: boolean };

/** An export that is being read. */
export interface OpenExport {
  id: string;
  format: ExportedFormat;
  /** The first entry that is looked at. */
  from: number;
  /** Of the log. */
  size: number;
  /** Signed; what the export is below of. */
  checkpoint: string;
  content: Readable;
}

/**
 * Fixes a signed checkpoint, records the export, and streams what is asked for of the entries below the checkpoint.
 *
 * @param witnessed whether to take the newest checkpoint that enough witnesses have cosigned, and not a new one
 * @throws RefusedError `not_found` where there is none
 */
export async function beginExport(
  broker: Broker,
  actorId: string,
  { witnessed = false, ...asked }: ExportAsked,
): Promise<OpenExport> {
  const who = by(broker, actorId);
  const { lab } = broker.policy.member(actorId) ?? refuse('invalid_token');
  const id = mintId('exp', who.at);
  return withSlot(broker, lab, async (slot) => {
    const chosen = witnessed ? broker.readers.newestWitnessed(broker.witnesses.policy) : undefined;
    if (witnessed && !chosen)
      refuse('not_found', 'There is no checkpoint that enough witnesses have cosigned.');
    const size = chosen?.size;
    const { index } = await broker.store.write('recordExport', { ...asked, by: who, id, size });
    const recorded = mustFind(broker, actorId, id);
    return open(broker, actorId, { ...recorded, index }, slot, 0);
  });
}

/** Has a place from before anything is waited for: it is held by the export that comes of it, and else given back. */
async function withSlot<T>(
  { exports }: Broker,
  lab: Lab,
  make: (slot: ExportSlot) => Promise<T>,
): Promise<T> {
  const slot = exports.takeSlot('export', lab);
  try {
    return await make(slot);
  } finally {
    slot.cancel();
  }
}

/**
 * Archives the oldest entries of the log, those that retention lets go of, and streams the archive: a bundle of them.
 *
 * @param before up to the entry in front of this index; undefined: as far as retention allows
 * @throws RefusedError
 */
export async function beginArchive(
  broker: Broker,
  actorId: string,
  before: number | undefined,
): Promise<OpenExport> {
  const who = by(broker, actorId);
  const { lab } = broker.policy.member(actorId) ?? refuse('invalid_token');
  const id = mintId('exp', who.at);
  return withSlot(broker, lab, async (slot) => {
    const about = retentionFacts(broker);
    const { index } = await broker.store.write('recordArchive', { ...about, by: who, id, before });
    return open(broker, actorId, { ...mustFind(broker, actorId, id), index }, slot, 0);
  });
}

/** What is known of an export. Times are epoch milliseconds. */
export interface ShownExport {
  id: string;
  data: ExportedData;
  exportedAt: number;
  resumableUntil: number;
  /** How far it has come, while it is being read. */
  running: Progress | undefined;
  /** What it came to, once all of it was made. */
  completed: Written | undefined;
}

/** @throws RefusedError `not_found` where there is none of this person */
export async function showExport(
  broker: Broker,
  actorId: string,
  exportId: string,
): Promise<ShownExport> {
  mayRead(broker, actorId, 'export.create');
  await broker.store.caughtUp();
  const { data, at } = mustFind(broker, actorId, exportId);
  return {
    id: exportId,
    data,
    exportedAt: at,
    resumableUntil: at + RESUMABLE_MS,
    running: broker.exports.progressOf(exportId),
    completed: completionOf(broker, exportId),
  };
}

/** Part of an export. */
export interface ResumedExport extends OpenExport {
  /** Bytes of the whole. */
  total: number;
}

/**
 * Makes an export once more, to the same bytes, and streams it from a byte on. Whoever still reads it is cut off.
 *
 * @param gone aborts when nobody waits for it any more
 * @throws RefusedError for anybody but the person who began it, after its time, or where it has no such byte
 */
export async function resumeExport(
  broker: Broker,
  actorId: string,
  exportId: string,
  from: number,
  gone: AbortSignal,
): Promise<ResumedExport> {
  const { member, reach } = mayRead(broker, actorId, 'export.create');
  await broker.store.caughtUp();
  const recorded = mustFind(broker, actorId, exportId);
  const { data } = recorded;
  if (data.from < broker.readers.minimumIndex())
    refuseArchived(broker.readers.listPrunings().map(archiveOf), data.from);
  if (reach !== 'all' && data.filter.lab !== member.lab.id) refuse('not_found');
  if (broker.clock() >= recorded.at + RESUMABLE_MS || data.layout !== EXPORT_LAYOUT)
    refuse('export_over');
  await broker.exports.end(exportId);
  return withSlot(broker, member.lab, async (slot) => {
    const { bytes: total } =
      completionOf(broker, exportId) ??
      (await broker.exports.measure(planOf(broker, recorded), gone));
    if (from >= total) refuse('range_not_satisfiable', `The export has ${total} bytes.`);
    await record(broker, actorId, 'audit.export_resumed', exportId, { from, bytes: total });
    return { ...open(broker, actorId, recorded, slot, from), total };
  });
}

/** An export that is on record. */
interface Recorded {
  id: string;
  data: ExportedData;
  /** Epoch milliseconds. */
  at: number;
  /** Of the entry. */
  index: number;
}

function open(
  broker: Broker,
  actorId: string,
  recorded: Recorded,
  slot: ExportSlot,
  skip: number,
): OpenExport {
  const { id, data } = recorded;
  const content = broker.exports.make(planOf(broker, recorded), slot, skip, async (written) => {
    const { entries, bytes, sha256 } = written;
    await record(broker, actorId, 'audit.export_completed', id, {
      format: data.format,
      entries,
      bytes,
      sha256,
    });
  });
  const { format, from, size, checkpoint } = data;
  return { id, format, from, size, checkpoint, content };
}

/** All that the bytes of a recorded export follow from. */
export function planOf(broker: Broker, { id, data, index }: Recorded): ExportPlan {
  const { format, from, to, filter, size, checkpoint } = data;
  return {
    id,
    format,
    range: { from, to },
    filter,
    record: index,
    checkpoint,
    verifierKey: logKeyOf(broker, size),
    keyHistory: keyHistoryOf(broker, index),
  };
}

/** The record of an export, for the person who made it. */
function mustFind(broker: Broker, actorId: string, id: string): Recorded {
  const found = findRecord(broker, id);
  if (found?.by === actorId) return found;
  return refuse('not_found', 'There is no such export of yours.');
}

/** The record of an archive, whoever made it. @throws RefusedError `not_found` */
export function findArchive(broker: Broker, id: string): Recorded {
  const found = findRecord(broker, id);
  if (found?.data.format === 'archive') return found;
  return refuse('not_found', 'There is no such archive.');
}

function findRecord(broker: Broker, id: string): (Recorded & { by?: string }) | undefined {
  const [found] = broker.readers.listEntries({
    from: 0,
    limit: 1,
    ref: id,
    kind: 'audit.exported',
  });
  const entry = found && readRawEntry(found.bytes);
  const data = exportedDataSchema.safeParse(entry?.data).data;
  if (!found || !entry || !data) return undefined;
  const { person } = entry.actor;
  const recorded = { id, data, at: Date.parse(entry.at), index: found.index };
  return person === undefined ? recorded : { ...recorded, by: person };
}

/** What an export came to, as its last completion says. */
function completionOf({ readers }: Broker, exportId: string): Written | undefined {
  const about = { ref: exportId, kind: 'audit.export_completed' };
  const [found] = readers.listEntries({ from: 0, limit: 1, ...about });
  const data = found && (readRawEntry(found.bytes).data as Partial<Written> | undefined);
  if (data?.entries === undefined || data.bytes === undefined || data.sha256 === undefined)
    return undefined;
  return { entries: data.entries, bytes: data.bytes, sha256: data.sha256 };
}

async function record(
  broker: Broker,
  actorId: string,
  kind: 'audit.export_resumed' | 'audit.export_completed',
  exportId: string,
  data: Record<string, string | number>,
): Promise<void> {
  const member = broker.policy.member(actorId) ?? refuse('invalid_token');
  const { at, entryId } = by(broker, actorId);
  const isPartner = member.lab.kind === 'partner';
  const entry: EntryDraft = {
    id: entryId,
    kind,
    at,
    actor: actorOf(member),
    ref: exportId,
    lab: isPartner ? member.lab.id : undefined,
    person: isPartner ? actorId : undefined,
    data,
  };
  await broker.store.write('recordEntry', { entry }, { deadlineMs: RECORD_WITHIN_MS });
}
