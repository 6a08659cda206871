/** Reading labs and people, within the reader's reach. */
import { isWithin } from '../core/authority.ts';
import { refuse } from '../core/denials.ts';
import type { Lab, Person } from '../core/people.ts';
import type { PageRequest } from '../store/page.ts';
import type { Broker } from './broker.ts';
import { mayRead, within } from './reach.ts';

/** Labs, oldest first. A partner's people see their own and the host. */
export function listLabs(broker: Broker, actorId: string, page: PageRequest): Lab[] {
  const { member, reach } = mayRead(broker, actorId, 'lab.read');
  if (reach === 'all') return broker.readers.listLabs(page);
  const { after = '', limit } = page;
  return [...new Set([member.lab.id, broker.readers.hostLabId()])]
    .flatMap((id) => (id === undefined ? [] : (broker.policy.lab(id) ?? [])))
    .filter((lab) => lab.id > after)
    .sort((a, b) => (a.id < b.id ? -1 : 1))
    .slice(0, limit);
}

/** @throws RefusedError `not_found` */
export function showLab(broker: Broker, actorId: string, labId: string): Lab {
  const { member, reach } = mayRead(broker, actorId, 'lab.read');
  const lab = broker.policy.lab(labId);
  if (!lab || !(lab.kind === 'host' || isWithin(reach, member, { labId: lab.id })))
    return refuse('not_found');
  return lab;
}

/** People, oldest first. */
export function listPeople(
  broker: Broker,
  actorId: string,
  page: PageRequest,
  filter: { labId?: string | undefined },
): Person[] {
  const { bounds } = mayRead(broker, actorId, 'person.read');
  const bounded = within(bounds, filter);
  return bounded ? broker.readers.listPeople(page, bounded) : [];
}

/** @throws RefusedError `not_found` */
export function showPerson(broker: Broker, actorId: string, personId: string): Person {
  const { member, reach } = mayRead(broker, actorId, 'person.read');
  const person = broker.policy.person(personId);
  if (!person || !isWithin(reach, member, { labId: person.labId, personId }))
    return refuse('not_found');
  return person;
}
