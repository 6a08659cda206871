/** Who may do what on the control plane: one table, consulted for every route. */
import type { LabKind, Member, Role } from './people.ts';
import { refusal, type Refusal } from './denials.ts';

/**
 * What a role may see or touch: `all`, or what belongs to the person's own lab (`lab`), or only what is
 * the person's own (`self`).
 */
export type Reach = 'all' | 'lab' | 'self';

type Rule = Partial<Record<`${LabKind}.${Role}`, Reach>>;

const EVERYONE: Rule = {
  'host.admin': 'all',
  'host.safety': 'all',
  'host.executive': 'all',
  'host.auditor': 'all',
  'host.researcher': 'lab',
  'auditor.auditor': 'all',
  'partner.lead': 'lab',
  'partner.safety': 'lab',
  'partner.auditor': 'lab',
  'partner.researcher': 'lab',
};

const ONESELF = {
  'host.admin': 'self',
  'host.safety': 'self',
  'host.executive': 'self',
  'host.auditor': 'self',
  'host.researcher': 'self',
  'auditor.auditor': 'self',
  'partner.lead': 'self',
  'partner.safety': 'self',
  'partner.auditor': 'self',
  'partner.researcher': 'self',
} as const;

/** To end what is one's own; and what is others', for those who answer for them. */
const THEIR_OWN = {
  ...ONESELF,
  'host.admin': 'all',
  'host.safety': 'all',
  'partner.lead': 'lab',
} as const;

/** Those whom rules of orders can name. */
const OFFICERS = {
  'host.admin': 'all',
  'host.safety': 'all',
  'host.executive': 'all',
  'host.auditor': 'all',
  'auditor.auditor': 'all',
  'partner.lead': 'lab',
  'partner.safety': 'lab',
} as const;

/** To judge whether a partner has done what it owed. */
const DUTIES = {
  'host.admin': 'all',
  'host.safety': 'all',
  'host.auditor': 'all',
  'auditor.auditor': 'all',
} as const;

/** To see what happened: all of it, one's lab's, or one's own. */
const RECORDS = { ...EVERYONE, 'host.researcher': 'self', 'partner.researcher': 'self' } as const;

/** To read what was said: those who look into it for the host or for nobody, and the lab that said it. */
const TRANSCRIPTS = {
  'host.auditor': 'all',
  'auditor.auditor': 'all',
  'partner.lead': 'lab',
  'partner.auditor': 'lab',
  'partner.researcher': 'self',
} as const;

/** To be told: what concerns the host, or one's lab where one answers for it, or oneself. */
const NOTICES = {
  'host.admin': 'all',
  'host.safety': 'all',
  'host.executive': 'all',
  'host.auditor': 'all',
  'host.researcher': 'self',
  'auditor.auditor': 'all',
  'partner.lead': 'lab',
  'partner.safety': 'lab',
  'partner.auditor': 'lab',
  'partner.researcher': 'self',
} as const;

/** To manage incidents, and to see them. */
const INCIDENT_OFFICERS = {
  'host.admin': 'all',
  'host.safety': 'all',
  'host.executive': 'all',
} as const;
const INCIDENTS = {
  ...INCIDENT_OFFICERS,
  'host.auditor': 'all',
  'auditor.auditor': 'all',
} as const;

/** To read what a grant or a run came to. */
const REPORTS = {
  'host.admin': 'all',
  'host.safety': 'all',
  'host.auditor': 'all',
  'auditor.auditor': 'all',
  'partner.lead': 'lab',
  'partner.auditor': 'lab',
} as const;

/** Each action of the control API, and how far each role's hand reaches in it. Absent means never. */
export const AUTHORITY = {
  'lab.read': EVERYONE,
  'lab.create': { 'host.admin': 'all' },
  // Whom a lab's assertions are believed from: for the host to decide, for the lab to end.
  'lab.set_identity': { 'host.admin': 'all' },
  'lab.remove_identity': { 'host.admin': 'all', 'host.safety': 'all', 'partner.lead': 'lab' },
  'person.read': EVERYONE,
  'person.create': { 'host.admin': 'all', 'partner.lead': 'lab' },
  'person.invite': { 'host.admin': 'all', 'partner.lead': 'lab' },
  'person.withdraw_invitation': {
    'host.admin': 'all',
    'host.safety': 'all',
    'partner.lead': 'lab',
  },
  'person.remove': { 'host.admin': 'all', 'host.safety': 'all', 'partner.lead': 'lab' },
  'person.set_attributes': { 'host.admin': 'all', 'partner.lead': 'lab' },
  'person.set_roles': { 'host.admin': 'all', 'partner.lead': 'lab' },
  // Nobody adds a key to somebody else: they could then speak as them, and be two people.
  'person.add_key': ONESELF,
  'person.remove_key': THEIR_OWN,
  'endpoint.read': EVERYONE,
  'grant.read': EVERYONE,
  'grant.create': { 'host.admin': 'all', 'partner.lead': 'lab' },
  'grant.amend': { 'host.admin': 'all', 'partner.lead': 'lab' },
  'grant.submit': { 'host.admin': 'all', 'partner.lead': 'lab' },
  'grant.return': { 'host.admin': 'all', 'host.safety': 'all', 'host.executive': 'all' },
  // Which of them a grant needs is said by the rules of authority.
  'grant.approve': {
    'host.admin': 'all',
    'host.safety': 'all',
    'host.executive': 'all',
    'host.auditor': 'all',
  },
  'grant.reject': { 'host.admin': 'all', 'host.safety': 'all', 'host.executive': 'all' },
  // By the side that wrote it.
  'grant.withdraw': { 'host.admin': 'all', 'partner.lead': 'lab' },
  'grant.accept': {
    'partner.lead': 'lab',
    'partner.safety': 'lab',
    'partner.researcher': 'lab',
    'partner.auditor': 'lab',
  },
  'grant.revoke': { 'host.admin': 'all', 'host.safety': 'all' },
  'grant.close': { 'partner.lead': 'lab' },
  'grant.review': { 'host.admin': 'all', 'host.safety': 'all' },
  'grant.add_person': { 'partner.lead': 'lab' },
  'grant.take_off_person': { 'partner.lead': 'lab' },
  'duty.read': EVERYONE,
  'duty.report': { 'partner.lead': 'lab' },
  'duty.confirm': DUTIES,
  'duty.return': DUTIES,
  'order.read': EVERYONE,
  // Who acts on an order is said by the rules of its level (core/orders/steps.ts); here is who may try.
  'order.issue': EVERYONE,
  'order.preview': OFFICERS,
  'order.ratify': OFFICERS,
  'order.review': OFFICERS,
  'order.supplement': OFFICERS,
  'order.lower': OFFICERS,
  'order.lift': OFFICERS,
  'order.acknowledge': EVERYONE,
  'order.object': {
    'partner.lead': 'lab',
    'partner.safety': 'lab',
    'partner.researcher': 'lab',
    'partner.auditor': 'lab',
  },
  'dispute.decide': OFFICERS,
  // Incidents are the host's and the auditors' to see: partners are told by what is reported to them.
  'incident.read': INCIDENTS,
  'incident.open': INCIDENT_OFFICERS,
  'incident.change': INCIDENT_OFFICERS,
  'incident.report': INCIDENT_OFFICERS,
  'incident.export': INCIDENTS,
  'token.read': RECORDS,
  'token.revoke': THEIR_OWN,
  'run.read': RECORDS,
  'run.end': THEIR_OWN,
  'access.hand_back': {
    'partner.lead': 'lab',
    'partner.safety': 'self',
    'partner.auditor': 'self',
    'partner.researcher': 'self',
  },
  'assertion.issue': { 'host.researcher': 'self' },
  'notice.read': NOTICES,
  'notice.acknowledge': NOTICES,
  // How notices leave the house is the host's to run.
  'delivery.read': { 'host.admin': 'all', 'host.safety': 'all' },
  'delivery.replay': { 'host.admin': 'all', 'host.safety': 'all' },
  'key.read': EVERYONE,
  'key.rotate': { 'host.admin': 'all' },
  'key.retire': { 'host.admin': 'all', 'host.safety': 'all' },
  'usage.read': RECORDS,
  'log.read': RECORDS,
  // Where the log goes is the host's to run, and the auditors' to watch.
  'forwarding.read': {
    'host.admin': 'all',
    'host.safety': 'all',
    'host.auditor': 'all',
    'auditor.auditor': 'all',
  },
  // What may be archived and pruned, and what holds it back.
  'retention.read': {
    'host.admin': 'all',
    'host.safety': 'all',
    'host.auditor': 'all',
    'auditor.auditor': 'all',
  },
  // Archives are made by auditors; another person, who runs the broker, prunes.
  'log.archive': { 'host.auditor': 'all', 'auditor.auditor': 'all' },
  'log.prune': { 'host.admin': 'all' },
  // The log's key is the host's; whoever trusts the log follows it.
  'log.rotate_key': { 'host.admin': 'all' },
  'split_view.read': EVERYONE,
  'watched_log.read': {
    'host.admin': 'all',
    'host.safety': 'all',
    'host.auditor': 'all',
    'auditor.auditor': 'all',
  },
  // Entry bundles hold what is about everybody.
  'log.mirror': { 'host.auditor': 'all', 'auditor.auditor': 'all' },
  // Partners export what is about their own people; never a bundle, which holds what is about all.
  'export.create': {
    'host.auditor': 'all',
    'auditor.auditor': 'all',
    'partner.lead': 'lab',
    'partner.auditor': 'lab',
  },
  'report.grant': REPORTS,
  'report.run': { ...REPORTS, 'host.researcher': 'self', 'partner.researcher': 'self' },
  // Of what is kept in full, a researcher sees their own; what is sealed the broker cannot open, and hands out as it is.
  'transcript.read': TRANSCRIPTS,
  'transcript.destroy': { 'host.admin': 'all', 'host.safety': 'all' },
  'transcript.check': { 'host.auditor': 'all', 'auditor.auditor': 'all' },
} as const satisfies Record<string, Rule>;

export type Action = keyof typeof AUTHORITY;

const BREADTH: Record<Reach, number> = { self: 1, lab: 2, all: 3 };

/**
 * How far a member's hand reaches in an action: the widest reach of any role they hold.
 *
 * @returns the reach, or a refusal that names the roles that would do
 */
export function reachOf(member: Member, action: Action): Reach | Refusal {
  if (member.person.removedAt !== null) return refusal('person_removed');
  const rule: Rule = AUTHORITY[action];
  let widest: Reach | undefined;
  for (const role of member.person.roles) {
    const reach = rule[`${member.lab.kind}.${role}`];
    if (reach && (!widest || BREADTH[reach] > BREADTH[widest])) widest = reach;
  }
  if (widest) return widest;
  const yours = member.person.roles.length === 1 ? 'Your role does' : 'Your roles do';
  return refusal(
    'role_required',
    `${yours} not allow this. It asks for the role ${rolesOf(rule)}.`,
  );
}

const LABS: Record<LabKind, string> = {
  host: 'the host lab',
  partner: 'the partner lab',
  auditor: 'an auditor lab',
};

/** The roles that a rule names, in words. */
function rolesOf(rule: Rule): string {
  const keys = Object.keys(rule) as (keyof Rule)[];
  return (Object.keys(LABS) as LabKind[])
    .flatMap((kind) => {
      const roles = keys
        .filter((key) => key.startsWith(`${kind}.`))
        .map((key) => key.slice(kind.length + 1));
      return roles.length === 0 ? [] : `${roles.join(' or ')} of ${LABS[kind]}`;
    })
    .join(', or ');
}

/** Whether something that belongs to a lab and perhaps a person lies within a member's reach. */
export function isWithin(
  reach: Reach,
  member: Member,
  owner: { labId?: string | null; personId?: string | null },
): boolean {
  switch (reach) {
    case 'all':
      return true;
    case 'lab':
      return owner.labId === member.lab.id;
    case 'self':
      return owner.personId === member.person.id;
  }
}
