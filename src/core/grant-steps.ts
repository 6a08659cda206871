/** The steps of a grant: which is possible when, between whom, and where it leads. */
import { decideApproval } from './approvals.ts';
import type { ApprovalRole } from './authority-rules.ts';
import { refusal, type Refusal } from './denials.ts';
import { changesBetween, widens } from './grant-changes.ts';
import { rosterOf, type Grant, type GrantSpec, type GrantState, type Proposal } from './grants.ts';
import type { Member } from './people.ts';

export type GrantStep =
  'submit' | 'return' | 'approve' | 'reject' | 'withdraw' | 'accept' | 'revoke' | 'close';

/** The one place that says which step is possible in which state. */
const LEGAL: Record<GrantStep | 'amend', readonly GrantState[]> = {
  amend: ['draft', 'returned', 'approved', 'active'],
  submit: ['draft', 'returned'],
  return: ['submitted'],
  approve: ['submitted'],
  reject: ['submitted'],
  withdraw: ['draft', 'submitted', 'returned'],
  accept: ['approved', 'active'],
  revoke: ['submitted', 'approved', 'active'],
  close: ['approved', 'active'],
};

/** The same of a proposed version. What it does not name is about the grant as a whole. */
const LEGAL_OF_PROPOSAL: Partial<Record<GrantStep | 'amend', readonly Proposal['state'][]>> = {
  amend: ['draft', 'returned'],
  submit: ['draft', 'returned'],
  return: ['submitted'],
  approve: ['submitted'],
  reject: ['submitted', 'approved'],
  withdraw: ['draft', 'submitted', 'returned', 'approved'],
};

export interface StepOutcome {
  /** Which text the step is about: the grant's own, or the proposed one. */
  of: 'grant' | 'proposal';
  /** Of the grant, after the step. */
  state: GrantState;
  /** Of the proposed version after the step; `in_force`: it takes the place of the text in force; null: there is none. */
  proposed: Proposal['state'] | 'in_force' | null;
  /** For `approve`: the part of the policy that this approval fills. */
  approvesAs?: ApprovalRole;
  /** For `accept`: whether the lab as a whole accepts with it. */
  forLab?: boolean;
}

/** What some steps depend on beside the grant. */
export interface StepFacts {
  /** For `accept`: the digest of the terms that were read. */
  termsDigest?: string | undefined;
  /** For `withdraw`: the labs of the authors. */
  authorLabs?: readonly string[] | undefined;
}

/** Whether a text of the grant was approved in full: whatever changes it from then on leaves it standing. */
const isSettled = ({ state }: Pick<Grant, 'state'>): boolean =>
  state === 'approved' || state === 'active';

/**
 * Decides one step of a grant: where it leads, or why it may not be taken. That the actor's role
 * allows the action at all was decided before (authority.ts); here are the rules between people.
 */
export function decideStep(
  grant: Grant,
  step: GrantStep,
  actor: Member,
  facts: StepFacts = {},
): StepOutcome | Refusal {
  const { proposed } = grant;
  if (proposed && isSettled(grant) && isAboutProposal(proposed, step, facts))
    return decideOfProposal(grant, proposed, step, actor, facts);
  if (!LEGAL[step].includes(grant.state)) return illegal(grant, step);
  const leadsTo = (state: GrantState): StepOutcome => ({
    of: 'grant',
    state,
    proposed: isOver(state) ? null : (proposed?.state ?? null),
  });
  switch (step) {
    case 'submit':
      return leadsTo('submitted');
    case 'return':
      return leadsTo('returned');
    case 'reject':
      return leadsTo('rejected');
    case 'withdraw':
      return refusalOfSide(actor, facts) ?? leadsTo('withdrawn');
    case 'revoke':
      return leadsTo('revoked');
    case 'close':
      return leadsTo('closed');
    case 'approve': {
      const approval = decideApproval(grant, actor);
      if ('code' in approval) return approval;
      const { approvesAs, complete } = approval;
      return { ...leadsTo(complete ? 'approved' : 'submitted'), approvesAs };
    }
    case 'accept': {
      const accepted = decideAcceptance(grant, actor);
      return 'code' in accepted ? accepted : { ...leadsTo('active'), ...accepted };
    }
  }
}

const isOver = (state: GrantState): boolean => state === 'revoked' || state === 'closed';

function isAboutProposal(proposed: Proposal, step: GrantStep, facts: StepFacts): boolean {
  if (step === 'accept')
    return proposed.state === 'approved' && facts.termsDigest === proposed.termsDigest;
  return LEGAL_OF_PROPOSAL[step] !== undefined;
}

function decideOfProposal(
  grant: Grant,
  proposed: Proposal,
  step: GrantStep,
  actor: Member,
  facts: StepFacts,
): StepOutcome | Refusal {
  const legal = LEGAL_OF_PROPOSAL[step];
  if (legal && !legal.includes(proposed.state)) return illegalOfProposal(proposed, step, legal);
  const leadsTo = (state: StepOutcome['proposed']): StepOutcome => ({
    of: 'proposal',
    state: grant.state,
    proposed: state,
  });
  switch (step) {
    case 'submit':
      return leadsTo('submitted');
    case 'return':
      return leadsTo('returned');
    case 'reject':
      return leadsTo(null);
    case 'withdraw':
      return refusalOfSide(actor, facts) ?? leadsTo(null);
    case 'approve': {
      const approval = decideApproval(proposed, actor);
      if ('code' in approval) return approval;
      const { approvesAs, complete } = approval;
      return { ...leadsTo(complete ? onceApproved(grant, proposed) : 'submitted'), approvesAs };
    }
    case 'accept':
      return isLead(grant, actor)
        ? { ...leadsTo('in_force'), forLab: true }
        : refusal('role_required', 'A lead of the partner lab accepts new terms first, for it.');
    case 'revoke':
    case 'close':
      throw new Error(`The step ${step} is about the grant as a whole.`);
  }
}

/** New terms bind nobody who has not accepted them: with them, a version waits for the lead of the lab. */
function onceApproved(grant: Grant, proposed: Proposal): StepOutcome['proposed'] {
  const asksAgain = grant.state === 'active' && proposed.termsDigest !== grant.termsDigest;
  return asksAgain ? 'approved' : 'in_force';
}

const isLead = (grant: Grant, { lab, person }: Member): boolean =>
  lab.id === grant.spec.lab && person.roles.includes('lead');

function refusalOfSide({ lab }: Member, { authorLabs = [] }: StepFacts): Refusal | null {
  return authorLabs.includes(lab.id)
    ? null
    : refusal(
        'role_required',
        'Only the lab that wrote it withdraws it. The host lab returns or rejects what is submitted to it.',
      );
}

const PARTICIPLE: Record<GrantStep | 'amend', string> = {
  amend: 'amended',
  submit: 'submitted',
  return: 'returned',
  approve: 'approved',
  reject: 'rejected',
  withdraw: 'withdrawn',
  accept: 'accepted',
  revoke: 'revoked',
  close: 'closed',
};

function illegal(grant: Grant, step: GrantStep | 'amend'): Refusal {
  const proposable = isSettled(grant) && LEGAL_OF_PROPOSAL[step] !== undefined;
  const or = proposable ? ', or one with a proposed version' : '';
  return refusal(
    'illegal_transition',
    `A grant that is ${grant.state} cannot be ${PARTICIPLE[step]}; that takes one that is ${LEGAL[step].join(' or ')}${or}.`,
  );
}

function illegalOfProposal(
  { version, state }: Proposal,
  step: GrantStep | 'amend',
  legal: readonly Proposal['state'][],
): Refusal {
  return refusal(
    'illegal_transition',
    `The proposed version ${version} is ${state === 'draft' ? 'a draft' : state} and cannot be ${PARTICIPLE[step]}; that takes one that is ${legal.join(' or ')}.`,
  );
}

function decideAcceptance(grant: Grant, actor: Member): { forLab: boolean } | Refusal {
  if (actor.lab.id !== grant.spec.lab) return refusal('not_found');
  const forLab = grant.state === 'approved' && actor.person.roles.includes('lead');
  const onRoster = rosterOf(grant).some((place) => place.personId === actor.person.id);
  if (grant.state === 'approved' && !forLab) {
    return refusal(
      'illegal_transition',
      "The partner's lead accepts first, for the lab. Then each person does.",
    );
  }
  if (!forLab && !onRoster) return refusal('person_not_on_grant');
  if (grant.acceptedBy.includes(actor.person.id) && !forLab) {
    return refusal('already_decided', 'You have accepted these terms already.');
  }
  return { forLab };
}

/** What becomes of a new text: the grant's own, in force at once, or proposed beside the one in force. */
export type Amendment = 'own' | 'in_force' | 'proposed';

/**
 * Decides what becomes of a new text of a grant. What only narrows is in force at once, by one admin of the host;
 * everything else that changes a text in force is proposed.
 */
export function decideAmendment(grant: Grant, spec: GrantSpec, actor: Member): Amendment | Refusal {
  if (!LEGAL.amend.includes(grant.state)) return illegal(grant, 'amend');
  if (!isSettled(grant)) return 'own';
  const changes = changesBetween(grant, spec);
  if (changes.length === 0)
    return refusal('invalid_request', 'This is what the grant says already. Nothing was changed.');
  const isAdmin = actor.lab.kind === 'host' && actor.person.roles.includes('admin');
  if (isAdmin && !widens(changes)) return 'in_force';
  const legal = LEGAL_OF_PROPOSAL.amend ?? [];
  const { proposed } = grant;
  return proposed && !legal.includes(proposed.state)
    ? illegalOfProposal(proposed, 'amend', legal)
    : 'proposed';
}

/**
 * Why an approver may not put a text in the place of the one under review, or null: they may only narrow it.
 */
export function refusalOfNarrowed(
  grant: Grant,
  text: GrantSpec,
  narrowed: GrantSpec,
): Refusal | null {
  const changes = changesBetween({ ...grant, spec: text }, narrowed);
  const wider = changes.filter(({ effect }) => effect === 'wider');
  if (wider.length > 0) {
    return refusal(
      'not_narrower',
      `Whoever approves may only narrow, and this widens: ${wider.map(({ text: what }) => what).join('; ')}. Return the grant to its author for that.`,
    );
  }
  return changes.some(({ effect }) => effect === 'narrower')
    ? null
    : refusal('not_narrower', 'This narrows nothing. Approve the grant as it is.');
}
