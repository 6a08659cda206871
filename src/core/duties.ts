/** Duties: what a grant asks for once it has ended, for all of it or for one person. */
import { z } from 'zod';
import { refusal, type Refusal } from './denials.ts';
import { durationSchema } from './durations.ts';
import { proseSchema } from './people.ts';

const dutyKinds = [
  'destroy_tokens',
  'certificate_of_destruction',
  'publication_window',
  'other',
] as const;

export const dutyKindSchema = z.enum(dutyKinds);
export type DutyKind = z.infer<typeof dutyKindSchema>;

/** A duty as the text of a grant names it. */
export const dutySpecSchema = z.strictObject({
  kind: dutyKindSchema.describe(
    'destroy_tokens: the broker ends every token, at once. certificate_of_destruction: of transcripts, by the partner. publication_window, other: as "text" says',
  ),
  text: proseSchema.max(1_000).describe('What is to be done'),
  within: durationSchema.describe('From the end of the grant'),
});

/** What ended, so that a duty began. */
export const dutyCauses = [
  'expired',
  'revoked',
  'closed',
  'recalled',
  'handed_back',
  'taken_off',
  'person_removed',
] as const;
export type DutyCause = (typeof dutyCauses)[number];

/** `open`: to be reported by the partner; `reported`: to be confirmed or returned by the host; `done`: confirmed. */
export const dutyStates = ['open', 'reported', 'done'] as const;
export type DutyState = (typeof dutyStates)[number];

export interface Duty {
  id: string;
  grantId: string;
  labId: string;
  /** Whose access ended; null: the whole grant. */
  personId: string | null;
  kind: DutyKind;
  text: string;
  cause: DutyCause;
  state: DutyState;
  begunAt: number;
  dueAt: number;
  reportedBy: string | null;
  reportedAt: number | null;
  /** What whoever reported it says of it; the text of a certificate. */
  statement: string | null;
  /** SHA-256 of a document that they keep, hex. */
  documentDigest: string | null;
  confirmedBy: string | null;
  confirmedAt: number | null;
  /** Why it was sent back last. */
  returnGrounds: string | null;
}

export type DutyStep = 'report' | 'confirm' | 'return';

const LEGAL: Record<DutyStep, DutyState> = {
  report: 'open',
  confirm: 'reported',
  return: 'reported',
};

const LEADS_TO: Record<DutyStep, DutyState> = {
  report: 'reported',
  confirm: 'done',
  return: 'open',
};

/** Decides a step of a duty: the state that it leads to, or why it may not be taken. */
export function decideDutyStep({ state }: Duty, step: DutyStep): DutyState | Refusal {
  if (state === LEGAL[step]) return LEADS_TO[step];
  const what = {
    open: 'is to be reported first',
    reported: 'was reported already',
    done: 'is done',
  };
  return refusal('illegal_transition', `This duty ${what[state]}.`);
}

/** Whether a duty should have been done by a moment, epoch milliseconds. */
export const isOverdue = ({ state, dueAt }: Duty, now: number): boolean =>
  state !== 'done' && dueAt <= now;
