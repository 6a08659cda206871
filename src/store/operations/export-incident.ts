/** Records that a report on an incident was made, and binds what is in it to the log. */
import { revisionOf } from '../../core/revision.ts';
import type { WriterContext } from '../context.ts';
import { mustFindIncident } from '../incident-rows.ts';
import { checkpointNow, type Checkpointed } from './log.ts';
import { controlOperation, type By } from './operation.ts';

export interface IncidentExportArgs {
  by: By;
  /** Of the export. */
  id: string;
  incidentId: string;
  /** Of the incident as the report shows it. */
  revision: string;
  /** Of the manifest, which has the digest of each file and the index of each entry; hex. */
  manifestSha256: string;
}

export interface IncidentExported extends Checkpointed {
  /** Of the entry that records the export. */
  index: number;
}

/**
 * Appends the entry of the export and signs a checkpoint over it: whoever has that entry's proof knows that every file
 * is as it was handed out.
 *
 * @returns null, and nothing is recorded, where the incident has changed since it was read
 */
export const recordIncidentExport = controlOperation(
  'incident.export',
  (context: WriterContext, args: IncidentExportArgs, who): IncidentExported | null => {
    const { by, id, incidentId, revision, manifestSha256 } = args;
    if (revisionOf(mustFindIncident(context, incidentId)) !== revision) return null;
    const index = context.append({
      id: by.entryId,
      kind: 'incident.exported',
      at: by.at,
      actor: who.actor,
      ref: incidentId,
      data: { export: id, revision, manifestSha256 },
    });
    return { index, ...checkpointNow(context, by.at) };
  },
  (args) => args.incidentId,
);
