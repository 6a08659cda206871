/** Which text of a grant is under review, and whose approvals it still needs. */
import type { Grant, Proposal } from '../wire.ts';

/** The text that a step such as "submit" or "approve" is about: the proposed version, where there is one. */
export function textUnderReview(grant: Grant): Grant | Proposal {
  return grant.proposed ?? grant;
}

/** The roles whose approvals of what is submitted are still to come. */
export function openApprovals(grant: Grant): string[] {
  const text = textUnderReview(grant);
  if (text.state !== 'submitted') return [];
  return text.approvalsNeeded.filter((role) => text.approvals.every(({ as }) => as !== role));
}

const OFFICES: Record<string, string> = {
  admin: 'an admin',
  safety: 'a safety officer',
  executive: 'an executive',
  auditor: 'an auditor',
};

/** People of the host lab by their roles, in words. */
export function officesOf(roles: readonly string[], joined: 'and' | 'or'): string {
  const offices = roles.map((role) => OFFICES[role] ?? `a person with the role ${role}`);
  return `${offices.join(` ${joined} `)} of the host lab`;
}
