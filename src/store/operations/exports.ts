/** Records exports of the log. */
import type { Json } from '../../core/audit/entry.ts';
import { findsAll, searchData, type EntrySearch } from '../../core/audit/entry-search.ts';
import { EXPORT_LAYOUT, type ExportFormat } from '../../core/audit/exports.ts';
import { refuseArchived } from '../../core/audit/archived.ts';
import { refuse } from '../../core/denials.ts';
import type { WriterContext } from '../context.ts';
import { archiveOf, minimumIndex, readPrunings } from '../prunings.ts';
import { checkpointUpTo, withCosignatures } from '../witness-rows.ts';
import { checkpointNow, type Checkpointed } from './log.ts';
import { controlOperation, type Authorised, type By } from './operation.ts';

export interface ExportArgs {
  by: By;
  /** Of the export. */
  id: string;
  format: ExportFormat;
  /** Of the entries; without a beginning or an end, all that the log has and the checkpoint covers. */
  from?: number | undefined;
  to?: number | undefined;
  /** What the entries are searched by. */
  filter: EntrySearch;
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
    const { by, id, format } = args;
    const filter = withinReach(who, args.filter);
    const least = minimumIndex(context.db);
    const from = args.from ?? least;
    if (from < least) refuseArchived(readPrunings(context.db).map(archiveOf), from);
    const isWhole = from === least && args.to === undefined && findsAll(filter);
    if (format === 'bundle') mustBeWhole(who, isWhole);
    const checkpoint =
      args.size === undefined ? checkpointNow(context, by.at) : checkpointOf(context, args.size);
    const { size, note } = checkpoint;
    const pruned = readPrunings(context.db).at(-1);
    if (pruned && size <= pruned.entry)
      refuse(
        'not_found',
        'That checkpoint is older than the last pruning of the log. Wait for the next one, or export up to a new one.',
      );
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
        filter: findsAll(filter) ? undefined : said(searchData(filter)),
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

const said = (data: ReturnType<typeof searchData>): Record<string, Json> =>
  Object.fromEntries(
    Object.entries(data).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );

/**
 * What is asked for, cut down to what the exporter may see.
 *
 * @throws RefusedError where that is nothing, because of others is asked
 */
function withinReach({ reach, member }: Authorised, asked: EntrySearch): EntrySearch {
  const { lab, person } = member;
  if (reach === 'lab') return { ...asked, lab: mustBeOwn('lab', asked.lab, lab.id) };
  if (reach === 'self') return { ...asked, person: mustBeOwn('person', asked.person, person.id) };
  return asked;
}

function mustBeOwn(param: 'lab' | 'person', asked: string | undefined, own: string): string {
  if (asked === undefined || asked === own) return own;
  return refuse(
    'invalid_request',
    `You export what concerns your own ${param}: leave out "${param}", or name your own.`,
    { param },
  );
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
