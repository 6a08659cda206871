/** What becomes of duties: reported by the partner, confirmed or returned by whoever judges them, or overdue. */
import { eq } from 'drizzle-orm';
import type { EntryKind } from '../../core/audit/entry.ts';
import { RefusedError, refuse } from '../../core/denials.ts';
import { decideDutyStep, isOverdue, type Duty, type DutyStep } from '../../core/duties.ts';
import type { EntryActor } from '../../core/audit/entry.ts';
import { mintId } from '../../lib/ids.ts';
import { takeOffAgenda, type AgendaItem } from '../agenda.ts';
import type { WriterContext } from '../context.ts';
import { putDutyOnAgenda } from '../duties.ts';
import { notify } from '../notify.ts';
import { duties } from '../schema.ts';
import { controlOperation, mustReach, type By, type Operation } from './operation.ts';

interface StepArgs {
  by: By;
  dutyId: string;
  /** For `report`: what was done. For `return`: what is missing. */
  text?: string | undefined;
  /** For `report`: SHA-256 of a document, hex. */
  documentDigest?: string | undefined;
}

const ENTRY_OF = {
  report: 'duty.reported',
  confirm: 'duty.confirmed',
  return: 'duty.returned',
} as const satisfies Record<DutyStep, EntryKind>;

function dutyOperation(
  step: DutyStep,
  changes: (args: StepArgs, personId: string) => Partial<Duty>,
): Operation<StepArgs, Duty> {
  return controlOperation(
    `duty.${step}`,
    (context, args: StepArgs, who) => {
      const duty = readDuty(context, args.dutyId) ?? refuse('not_found');
      mustReach(who, { labId: duty.labId });
      const state = decideDutyStep(duty, step);
      if (typeof state !== 'string') throw new RefusedError(state);
      context.db
        .update(duties)
        .set({ state, ...changes(args, who.member.person.id) })
        .where(eq(duties.id, duty.id))
        .run();
      const after = readDuty(context, duty.id) as Duty;
      if (step === 'confirm') takeOffAgenda(context, 'duty', duty.id);
      if (step === 'return') putDutyOnAgenda(context, after, args.by.at);
      append(context, after, ENTRY_OF[step], args.by, who.actor);
      tell(context, after, step, args.by.at);
      return after;
    },
    (args) => args.dutyId,
  );
}

export const reportDuty = dutyOperation('report', ({ by, text, documentDigest }, personId) => ({
  reportedBy: personId,
  reportedAt: by.at,
  statement: text ?? null,
  documentDigest: documentDigest ?? null,
  returnGrounds: null,
}));

export const confirmDuty = dutyOperation('confirm', ({ by }, personId) => ({
  confirmedBy: personId,
  confirmedAt: by.at,
}));

export const returnDuty = dutyOperation('return', ({ text }) => ({
  returnGrounds: text ?? null,
}));

function readDuty({ db }: WriterContext, id: string): Duty | undefined {
  return db.select().from(duties).where(eq(duties.id, id)).get();
}

/** With all that is kept of it that can change: the log alone tells how it stood. */
function append(
  context: WriterContext,
  duty: Duty,
  kind: EntryKind,
  { entryId, at }: Pick<By, 'entryId' | 'at'>,
  actor: EntryActor,
): void {
  const { state, statement, documentDigest, returnGrounds } = duty;
  const dueAt = new Date(duty.dueAt).toISOString();
  context.append({
    id: entryId,
    kind,
    at,
    actor,
    ref: duty.id,
    lab: duty.labId,
    grant: duty.grantId,
    person: duty.personId ?? undefined,
    data: { kind: duty.kind, state, dueAt, statement, documentDigest, returnGrounds },
  });
}

function tell(context: WriterContext, duty: Duty, step: DutyStep, at: number): void {
  const what = `The duty "${duty.text}" (${duty.id})`;
  const says = {
    report: `was reported: confirm or return it ("sallyport duty show ${duty.id}").`,
    confirm: 'is done.',
    return: `was returned: ${duty.returnGrounds ?? ''}`,
  };
  notify(context, {
    kind: step === 'confirm' ? 'duty.done' : step === 'report' ? 'duty.reported' : 'duty.returned',
    ref: duty.id,
    at,
    to: [{ labId: context.host }, { labId: duty.labId }],
    title: `${what} ${says[step]}`,
  });
}

/** Reminds of a duty, or puts on record that it is overdue. */
export function lookAtDuty(context: WriterContext, { ref: id, at }: AgendaItem, now: number): void {
  const duty = readDuty(context, id);
  if (!duty || duty.state === 'done') return;
  const overdue = isOverdue(duty, now);
  // A reminder that comes late, when the broker was not there, says nothing that this moment does not.
  if (overdue && at !== duty.dueAt) return;
  const due = new Date(duty.dueAt).toISOString();
  const to = [{ labId: context.host }, { labId: duty.labId }];
  const next =
    duty.state === 'open'
      ? `the partner reports it ("sallyport duty report ${id}")`
      : `the host lab confirms or returns it ("sallyport duty confirm ${id}")`;
  if (overdue) {
    const entry = { entryId: mintId('ent', now), at: now };
    append(context, duty, 'duty.overdue', entry, { system: 'broker' });
  }
  notify(context, {
    kind: overdue ? 'duty.overdue' : 'duty.due',
    ref: id,
    at: now,
    to,
    title: `The duty "${duty.text}" ${overdue ? `has been overdue since ${due}` : `is due by ${due}`}: ${next}.`,
  });
}
