/** Records exports of the log. */
import { EXPORT_LAYOUT, type ExportFormat, type FilterInEntry } from '../../core/audit/exports.ts';
import { refuse } from '../../core/denials.ts';
import type { WriterContext } from '../context.ts';
import type { EntryConditions } from '../readers.ts';
import { checkpointUpTo, withCosignatures } from '../witness-rows.ts';
import { checkpointNow, type Checkpointed } from './log.ts';
import { controlOperation, type Authorised, type By } from './operation.ts';

export interface ExportArgs {
  by: By;
  /** Of the export. */
  id: string;
  format: ExportFormat;
  /** Of the entries; without an end, all that the checkpoint covers. */
  from: number;
  to?: number | undefined;
  /** Of the events, epoch milliseconds. */
  since?: number | undefined;
  until?: number | undefined;
  /** What the entries are to be about. */
  filter: EntryConditions;
  /** A checkpoint that there is already, by its size, with the cosignatures of it; undefined: a new one. */
  size?: number | undefined;
}

export interface ExportRecorded extends Checkpointed {
  /** Of the entry that records it. */
  index: number;
}

/**
 * Fixes a signed checkpoint to export below, and records the export, which therefore is not in it, with all that its
 * bytes follow from.
 */
export const recordExport = controlOperation(
  'export.create',
  (context, args: ExportArgs, who): ExportRecorded => {
    const { by, id, format, from, since, until } = args;
    const filter = withinReach(who, args.filter);
    const isWhole =
      from === 0 &&
      [args.to, since, until, ...Object.values(filter)].every((one) => one === undefined);
    if (format === 'bundle') mustBeWhole(who, isWhole);
    const checkpoint =
      args.size === undefined ? checkpointNow(context, by.at) : checkpointOf(context, args.size);
    const { size, note } = checkpoint;
    const to = args.to ?? size;
    if (to > size || from > to)
      refuse(
        'invalid_request',
        `${args.size === undefined ? 'The log' : 'The checkpoint'} has ${size} entries: "from" and "to" name a range of them, "to" not included.`,
        { param: to > size ? 'to' : 'from' },
      );
    const isPartner = who.member.lab.kind === 'partner';
    const index = context.append({
      id: by.entryId,
      kind: 'audit.exported',
      at: by.at,
      actor: who.actor,
      ref: id,
      lab: isPartner ? who.member.lab.id : undefined,
      person: isPartner ? who.member.person.id : undefined,
      data: {
        format,
        layout: EXPORT_LAYOUT,
        from,
        to,
        since: moment(since),
        until: moment(until),
        filter: Object.keys(filter).length === 0 ? undefined : (filter as Record<string, string>),
        size,
        checkpoint: note,
      },
    });
    return { index, ...checkpoint };
  },
  (args) => args.id,
);

function checkpointOf({ db }: WriterContext, asked: number): Checkpointed {
  const found = checkpointUpTo(db, asked);
  if (found?.size !== asked) return refuse('not_found');
  const { size, note } = withCosignatures(db, found);
  return { size, note };
}

const moment = (at: number | undefined): string | undefined =>
  at === undefined ? undefined : new Date(at).toISOString();

/** What is asked for, cut down to what the exporter may see. */
function withinReach({ reach, member }: Authorised, asked: EntryConditions): FilterInEntry {
  const said = Object.entries(asked).filter(([, value]) => value !== undefined);
  const filter = Object.fromEntries(said) as FilterInEntry;
  if (reach === 'lab') filter['labId'] = member.lab.id;
  if (reach === 'self') filter['personId'] = member.person.id;
  return filter;
}

function mustBeWhole({ reach }: Authorised, isWhole: boolean): void {
  if (reach !== 'all')
    refuse(
      'role_required',
      'A bundle holds the entries of all labs: it is for auditors of the host and of auditor labs. Export the entries of your lab as jsonl, csv, parquet or ocsf.',
    );
  if (!isWhole)
    refuse(
      'invalid_request',
      'A bundle is the whole log, from which nothing can be left out unseen. Leave out the range and the filters, or export as jsonl, csv, parquet or ocsf.',
      { param: 'format' },
    );
}
