/** Shows a duty. */
import type { Named } from '../names.ts';
import { moment, printDetails } from '../output.ts';
import type { Surroundings } from '../surroundings.ts';
import type { Duty } from './wire.ts';

/** How far it is, in a word or two. */
export const stateOf = ({ state, overdue }: Duty): string =>
  overdue ? `${state}, overdue` : state;

export function printDuty(around: Surroundings, duty: Duty, named: Named): void {
  printDetails(around, [
    ['duty', duty.id],
    ['kind', duty.kind],
    ['to do', duty.text],
    ['state', stateOf(duty)],
    ['due', moment(duty.dueAt)],
    ['grant', named(duty.grant)],
    ['person', named(duty.person) ?? undefined],
    ['cause', duty.cause.replaceAll('_', ' ')],
    ['begun', moment(duty.begunAt)],
    ['statement', duty.statement ?? undefined],
    ['document', duty.documentDigest ? `SHA-256 ${duty.documentDigest}` : undefined],
    [
      'reported',
      duty.reportedAt ? `${named(duty.reportedBy)} at ${moment(duty.reportedAt)}` : undefined,
    ],
    ['grounds of the return', duty.returnGrounds ?? undefined],
    [
      'confirmed',
      duty.confirmedAt
        ? `${named(duty.confirmedBy) ?? 'the broker'} at ${moment(duty.confirmedAt)}`
        : undefined,
    ],
  ]);
}
