/** Approvals of a grant's text: whose are needed, which still are, and who may give one. */
import type { ApprovalRole } from './authority-rules.ts';
import { refusal, type Refusal } from './denials.ts';
import type { Member } from './people.ts';

export interface Approval {
  personId: string;
  /** The part of the policy that this approval fills. */
  as: ApprovalRole;
  at: number;
}

/** A text that is, or was, to be approved. */
export interface Approvable {
  /** Whoever wrote it. None of them may approve it. */
  authorIds: string[];
  approvals: Approval[];
  /** The roles whose approval it needs, as they were when it was submitted; null: it never was. */
  approvalsNeeded: ApprovalRole[] | null;
}

/**
 * The roles whose approval a text needs, by the policy of this moment: those that every grant needs, and what its
 * endpoints ask for beyond them.
 *
 * @param ofEveryGrant from the rules of authority
 * @param ofEndpoint what each endpoint asks for, by its id
 */
export function approvalsFor(
  spec: { endpoints: readonly { endpoint: string }[] },
  ofEveryGrant: readonly ApprovalRole[],
  ofEndpoint: Readonly<Record<string, readonly ApprovalRole[]>>,
): ApprovalRole[] {
  const ofThese = spec.endpoints.flatMap(({ endpoint }) => ofEndpoint[endpoint] ?? []);
  return [...new Set([...ofEveryGrant, ...ofThese])];
}

/** The approvals that a text under review still needs. */
export function openApprovals({ approvals, approvalsNeeded }: Approvable): ApprovalRole[] {
  return (approvalsNeeded ?? []).filter((role) => !approvals.some(({ as }) => as === role));
}

/** Why an approval does not count any more, or null while it does. */
export function refusalOfApproval({ as }: Approval, giver: Member | undefined): Refusal | null {
  if (!giver || giver.person.removedAt !== null) return refusal('person_removed');
  const holdsIt = giver.lab.kind === 'host' && giver.person.roles.includes(as);
  return holdsIt ? null : refusal('role_required');
}

/**
 * Decides an approval.
 *
 * @param text with those of its approvals alone that still count
 * @returns the role that it is given as, and whether it is the last one
 */
export function decideApproval(
  text: Approvable,
  actor: Member,
): { approvesAs: ApprovalRole; complete: boolean } | Refusal {
  if (actor.lab.kind !== 'host')
    return refusal('role_required', 'Only people of the host lab approve grants.');
  if (text.authorIds.includes(actor.person.id)) return refusal('author_may_not_decide');
  const open = openApprovals(text);
  if (text.approvals.some((approval) => approval.personId === actor.person.id))
    return refusal(
      'already_decided',
      `You have decided on this version already; what is missing is the approval of: ${open.join(', ')}.`,
    );
  const approvesAs = open.find((role) => actor.person.roles.includes(role));
  if (!approvesAs)
    return refusal(
      'approval_not_needed',
      `What is missing is the approval of a person of the host lab with the role: ${open.join(', ')}.`,
    );
  return { approvesAs, complete: open.length === 1 };
}
