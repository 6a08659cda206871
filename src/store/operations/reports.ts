/** Records reports on runs and grants. */
import { checkpointNow, type Checkpointed } from './log.ts';
import { controlOperation, mustReach, type By, type Operation } from './operation.ts';

export interface ReportArgs {
  by: By;
  /** Of the run or grant. */
  id: string;
  grantId: string;
  /** Whose it is. */
  labId: string;
  /** Of a run: where the report is of this person's entries alone. */
  onlyOf?: string | undefined;
}

export interface ReportRecorded extends Checkpointed {
  /** Of the entry that records it. */
  index: number;
}

/** Fixes a signed checkpoint, of the entries below which the report is, and records that it is read. */
const recorderOf = (of: 'run' | 'grant'): Operation<ReportArgs, ReportRecorded> =>
  controlOperation(
    `report.${of}`,
    (context, { by, id, grantId, labId, onlyOf }: ReportArgs, who): ReportRecorded => {
      mustReach(who, { labId, personId: onlyOf ?? null });
      const checkpoint = checkpointNow(context, by.at);
      const { size, note } = checkpoint;
      const isPartner = who.member.lab.kind === 'partner';
      const index = context.append({
        id: by.entryId,
        kind: 'audit.reported',
        at: by.at,
        actor: who.actor,
        ref: id,
        lab: isPartner ? who.member.lab.id : undefined,
        person: isPartner ? who.member.person.id : undefined,
        data: { of, grant: grantId, onlyOf, size, checkpoint: note },
      });
      return { index, ...checkpoint };
    },
    ({ id }) => id,
  );

export const recordRunReport = recorderOf('run');
export const recordGrantReport = recorderOf('grant');
