/** Which approvals of a text under review count at this moment. */
import { and, eq } from 'drizzle-orm';
import { refusalOfApproval, type Approval } from '../../core/approvals.ts';
import type { Grant, GrantText } from '../../core/grants.ts';
import { mintId } from '../../lib/ids.ts';
import type { WriterContext } from '../context.ts';
import { readMember } from '../records.ts';
import { grantApprovals } from '../schema.ts';
import type { Authorised, By } from './operation.ts';

/**
 * The grant with those approvals alone that count at this moment. A narrower text begins without any. Those of people
 * who were removed, or do not have the role any more, are dropped for good, with an entry.
 */
export function withCounting(
  context: WriterContext,
  grant: Grant,
  { narrowed, by }: { by: By; narrowed?: object | undefined },
  who: Authorised,
): Grant {
  const text = grant.state === 'submitted' ? grant : grant.proposed;
  if (!text) return grant;
  const counting = narrowed ? [] : countingApprovals(context, grant, text, by, who);
  return text === grant
    ? { ...grant, approvals: counting }
    : { ...grant, proposed: grant.proposed && { ...grant.proposed, approvals: counting } };
}

function countingApprovals(
  context: WriterContext,
  { id: grantId, spec: { lab } }: Grant,
  { version, approvals }: GrantText,
  { at }: By,
  who: Authorised,
): Approval[] {
  const judged = approvals.map((approval) => ({
    approval,
    why: refusalOfApproval(approval, readMember(context.db, approval.personId)),
  }));
  const dropped = judged.flatMap(({ approval, why }) => (why ? [{ approval, why }] : []));
  if (dropped.length > 0) {
    for (const { approval } of dropped) {
      context.db
        .delete(grantApprovals)
        .where(
          and(
            eq(grantApprovals.grantId, grantId),
            eq(grantApprovals.version, version),
            eq(grantApprovals.personId, approval.personId),
          ),
        )
        .run();
    }
    context.append({
      id: mintId('ent', at),
      kind: 'grant.approvals_dropped',
      at,
      actor: who.actor,
      ref: grantId,
      lab,
      grant: grantId,
      grantVersion: version,
      data: {
        dropped: dropped.map(({ approval: { personId, as }, why }) => ({
          person: personId,
          as,
          because: why.code,
        })),
      },
    });
  }
  return judged.filter(({ why }) => why === null).map(({ approval }) => approval);
}
