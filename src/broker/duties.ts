/** Duties: what grants ask for once they have ended. */
import { isWithin } from '../core/authority.ts';
import { refuse } from '../core/denials.ts';
import { isOverdue, type Duty, type DutyStep } from '../core/duties.ts';
import type { DutyFilter } from '../store/list-duties.ts';
import type { PageRequest } from '../store/page.ts';
import type { Broker } from './broker.ts';
import { by } from './by.ts';
import { mayRead, within } from './reach.ts';

export type ShownDuty = Duty & { overdue: boolean };

const shown = ({ clock }: Broker, duty: Duty): ShownDuty => ({
  ...duty,
  overdue: isOverdue(duty, clock()),
});

export function listDuties(
  broker: Broker,
  actorId: string,
  page: PageRequest,
  filter: DutyFilter,
): ShownDuty[] {
  const { bounds } = mayRead(broker, actorId, 'duty.read');
  const bounded = within(bounds, filter);
  const found = bounded ? broker.readers.listDuties(page, bounded) : [];
  return found.map((duty) => shown(broker, duty));
}

export function showDuty(broker: Broker, actorId: string, dutyId: string): ShownDuty {
  const { member, reach } = mayRead(broker, actorId, 'duty.read');
  const duty = broker.readers.readDuty(dutyId);
  if (!duty || !isWithin(reach, member, { labId: duty.labId })) return refuse('not_found');
  return shown(broker, duty);
}

const OPERATION_OF = {
  report: 'reportDuty',
  confirm: 'confirmDuty',
  return: 'returnDuty',
} as const satisfies Record<DutyStep, string>;

/** Takes one step of a duty. @param input for `report` what was done, for `return` what is missing */
export async function stepDuty(
  broker: Broker,
  actorId: string,
  dutyId: string,
  step: DutyStep,
  input: { text?: string | undefined; documentDigest?: string | undefined },
): Promise<ShownDuty> {
  const args = { by: by(broker, actorId), dutyId, ...input };
  return shown(broker, await broker.store.write(OPERATION_OF[step], args));
}
