/** What is shown of a grant: its status is the decision function's, not a column's. */
import { grantStanding, refusalOfEndedGrant, type Standing } from '../core/access.ts';
import { approvalsFor } from '../core/approvals.ts';
import { unmet } from '../core/attributes.ts';
import type { ApprovalRole } from '../core/authority-rules.ts';
import { budgetsLeft } from '../core/budgets-left.ts';
import { refuse } from '../core/denials.ts';
import { changesBetween, type Change } from '../core/grant-changes.ts';
import {
  rosterOf,
  type Grant,
  type GrantText,
  type Proposal,
  type RosterPlace,
} from '../core/grants.ts';
import { isWithin } from '../core/authority.ts';
import { revisionOf } from '../core/revision.ts';
import { NOTHING_CHARGED, type Budgets, type Charged } from '../core/limits.ts';
import type { PageRequest } from '../store/page.ts';
import type { Broker } from './broker.ts';
import { mayRead, within } from './reach.ts';
import { withState } from './show-invitations.ts';

/** Somebody on the roster; of those who were removed, nothing passes any more. */
interface ShownPlace extends RosterPlace {
  removed: boolean;
  /** What the grant requires of them and is not known: nothing passes for them. */
  lacking: string[];
}

export interface ShownGrant {
  grant: Grant;
  /** Which state of the grant this is. */
  revision: string;
  standing: Standing;
  /** Frozen, or by the policy of this moment where it was not submitted yet. */
  approvalsNeeded: ApprovalRole[];
  /** The version that is to follow, with what it changes; null: there is none, or the grant is over. */
  proposed: ShownProposal | null;
  roster: ShownPlace[];
  /** Of the roster's cap; null: there is none, and nobody is invited. */
  places: { taken: number; invited: number } | null;
}

interface ShownProposal extends Proposal {
  approvalsNeeded: ApprovalRole[];
  changes: Change[];
}

export function showGrant(broker: Broker, actorId: string, grantId: string): ShownGrant {
  const { member, reach } = mayRead(broker, actorId, 'grant.read');
  const grant = broker.policy.grant(grantId);
  if (!grant || !isWithin(reach, member, { labId: grant.spec.lab })) return refuse('not_found');
  return withStanding(broker, grant);
}

export function listGrants(
  broker: Broker,
  actorId: string,
  page: PageRequest,
  filter: { labId?: string | undefined; state?: Grant['state'] | undefined },
): ShownGrant[] {
  const { bounds } = mayRead(broker, actorId, 'grant.read');
  const bounded = within(bounds, filter);
  const grants = bounded ? broker.readers.listGrants(page, bounded) : [];
  return grants.map((grant) => withStanding(broker, grant));
}

/** The grant with its status and its roster at this moment. */
export function withStanding(broker: Broker, grant: Grant): ShownGrant {
  const { policy, clock } = broker;
  const now = clock();
  const roster = rosterOf(grant).map((place) => {
    const person = policy.person(place.personId);
    const lacking = person ? unmet(grant.spec.requires, person, now) : [];
    return {
      ...place,
      removed: typeof person?.removedAt === 'number',
      lacking: lacking.map(({ name }) => name),
    };
  });
  const places =
    grant.spec.maxPeople === undefined
      ? null
      : {
          taken: roster.filter((place) => place.until > now && !place.removed).length,
          invited: countInvited(broker, grant.id),
        };
  return {
    grant,
    revision: revisionOf(grant),
    standing: grantStanding(grant, policy.orders, now, broker.configured),
    approvalsNeeded: neededOf(broker, grant),
    proposed: proposalOf(broker, grant, now),
    roster,
    places,
  };
}

function neededOf({ rules, approvalsOf }: Broker, text: GrantText): ApprovalRole[] {
  const { approvalsNeeded, spec } = text;
  return approvalsNeeded ?? approvalsFor(spec, rules.approvals, approvalsOf);
}

/** What a grant that is over proposed can never be. */
function proposalOf(broker: Broker, grant: Grant, now: number): ShownProposal | null {
  const { proposed } = grant;
  if (!proposed || refusalOfEndedGrant(grant, now)) return null;
  const changes = changesBetween(grant, proposed.spec);
  return { ...proposed, approvalsNeeded: neededOf(broker, proposed), changes };
}

/** How many invitations onto a grant are open. */
function countInvited(broker: Broker, grantId: string): number {
  return broker.readers
    .openInvitationsOnto(grantId, broker.clock())
    .filter((invitation) => withState(broker, invitation).state === 'open').length;
}

/** What one scope, a grant or a person under it, has used and has left. */
export interface ScopeUsage {
  charged: Charged;
  lastDay: { requests: number; tokens: number };
  left: ReturnType<typeof budgetsLeft>;
}

export interface ShownUsage {
  grant: Grant;
  /** The grant as a whole. */
  total: ScopeUsage;
  /** Everybody on the roster, and everybody who was charged. */
  people: (ScopeUsage & { personId: string })[];
}

/** What a grant has been charged. A researcher sees the whole and their own part. */
export async function showUsage(
  broker: Broker,
  actorId: string,
  grantId: string,
): Promise<ShownUsage> {
  await broker.store.caughtUp();
  const { grant } = showGrant(broker, actorId, grantId);
  const { member, reach } = mayRead(broker, actorId, 'usage.read');
  const charges = new Map(
    broker.readers.readCharges(grantId).map(({ personId, charged }) => [personId, charged]),
  );
  const days = broker.readers.readDayUse(grantId, broker.clock());
  const usage = (personId: string, budgets: Budgets): ScopeUsage => {
    const charged = charges.get(personId) ?? NOTHING_CHARGED;
    const lastDay = days.get(personId) ?? { requests: 0, tokens: 0 };
    return { charged, lastDay, left: budgetsLeft(budgets, charged, lastDay) };
  };
  const { spec } = grant;
  const people = new Set([...rosterOf(grant).map((place) => place.personId), ...charges.keys()]);
  people.delete('');
  return {
    grant,
    total: usage('', spec.budgets),
    people: [...people]
      .filter((personId) => reach !== 'self' || personId === member.person.id)
      .map((personId) => ({ personId, ...usage(personId, spec.perPerson.budgets) })),
  };
}
