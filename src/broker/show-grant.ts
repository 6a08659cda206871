/** What is shown of a grant: its status is the decision function's, not a column's. */
import { grantStanding, type Standing } from '../core/access.ts';
import { refuse } from '../core/denials.ts';
import type { Grant } from '../core/grants.ts';
import { isWithin } from '../core/authority.ts';
import type { Charged } from '../core/limits.ts';
import type { PageRequest } from '../store/readers.ts';
import type { Broker } from './broker.ts';
import { mayRead } from './reach.ts';

export interface ShownGrant {
  grant: Grant;
  standing: Standing;
}

export function showGrant(broker: Broker, actorId: string, grantId: string): ShownGrant {
  const { member, reach } = mayRead(broker, actorId, 'grant.read');
  const grant = broker.policy.grant(grantId);
  if (!grant || !isWithin(reach, member, { labId: grant.spec.lab }))
    return refuse('not_found', 'There is no such grant.');
  return withStanding(broker, grant);
}

export function listGrants(
  broker: Broker,
  actorId: string,
  page: PageRequest,
  filter: { labId?: string | undefined; state?: Grant['state'] | undefined },
): ShownGrant[] {
  const { bounds } = mayRead(broker, actorId, 'grant.read');
  const grants = broker.readers.listGrants(page, { ...filter, ...bounds });
  return grants.map((grant) => withStanding(broker, grant));
}

/** The grant with its status at this moment. */
export function withStanding(broker: Broker, grant: Grant): ShownGrant {
  return { grant, standing: grantStanding(grant, broker.policy.orders, broker.clock()) };
}

export interface ShownUsage {
  grant: Grant;
  /** The grant as a whole. */
  total: Charged;
  people: { personId: string; charged: Charged }[];
}

/** What a grant has been charged. A researcher sees the whole and their own part. */
export function showUsage(broker: Broker, actorId: string, grantId: string): ShownUsage {
  const { grant } = showGrant(broker, actorId, grantId);
  const { member, reach } = mayRead(broker, actorId, 'usage.read');
  const rows = broker.readers.readCharges(grantId);
  const total = rows.find((row) => row.personId === '')?.charged ?? refuse('unexpected');
  const people = rows.filter(
    (row) => row.personId !== '' && (reach !== 'self' || row.personId === member.person.id),
  );
  return { grant, total, people };
}
