/** Replays entries about duties. */
import { z } from 'zod';
import { dutyCauses, dutyKindSchema, dutyStates, type Duty } from '../duties.ts';
import {
  Gap,
  actingPerson,
  dataOf,
  momentSchema,
  mustHave,
  type LoggedEntry,
} from './logged-entry.ts';
import { endTokens } from './replay-tokens.ts';
import type { Replayed } from './replayed.ts';

const begunSchema = z.object({
  cause: z.enum(dutyCauses),
  kind: dutyKindSchema,
  text: z.string(),
  dueAt: momentSchema,
  state: z.enum(dutyStates),
  statement: z.string().nullable(),
});

/** Access ended, and a duty began. One that destroys tokens was done with it. */
export function dutyBegun(state: Replayed, entry: LoggedEntry): void {
  const id = mustHave(entry, 'ref');
  const grantId = mustHave(entry, 'grant');
  const personId = entry.person ?? null;
  const duty = dataOf(entry, begunSchema);
  state.duties.set(id, {
    id,
    ...duty,
    grantId,
    labId: mustHave(entry, 'lab'),
    personId,
    begunAt: entry.at,
    reportedBy: null,
    reportedAt: null,
    documentDigest: null,
    confirmedBy: null,
    confirmedAt: duty.state === 'done' ? entry.at : null,
    returnGrounds: null,
  });
  if (duty.kind !== 'destroy_tokens') return;
  endTokens(
    state,
    (token) => token.grantId === grantId && (personId === null || token.personId === personId),
  );
}

const standingSchema = z.object({
  state: z.enum(dutyStates),
  statement: z.string().nullable(),
  documentDigest: z.string().nullable(),
  returnGrounds: z.string().nullable(),
});

/** How a duty stands after a step. */
function standsNow(state: Replayed, entry: LoggedEntry, more: Partial<Duty>): void {
  const duty = state.duties.get(mustHave(entry, 'ref'));
  if (!duty) throw new Gap('The duty is not in the log before.');
  state.duties.set(duty.id, { ...duty, ...dataOf(entry, standingSchema), ...more });
}

export const dutyReported = (state: Replayed, entry: LoggedEntry): void =>
  standsNow(state, entry, { reportedBy: actingPerson(entry).person, reportedAt: entry.at });

export const dutyConfirmed = (state: Replayed, entry: LoggedEntry): void =>
  standsNow(state, entry, { confirmedBy: actingPerson(entry).person, confirmedAt: entry.at });

export const dutyReturned = (state: Replayed, entry: LoggedEntry): void =>
  standsNow(state, entry, {});
