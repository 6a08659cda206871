/** Reviews of grants. */
import { eq } from 'drizzle-orm';
import { after } from '../../core/durations.ts';
import { refuse } from '../../core/denials.ts';
import type { Grant } from '../../core/grants.ts';
import { grants } from '../schema.ts';
import { mustFind, recorded, type GrantTarget } from './grant-texts.ts';
import { controlOperation } from './operation.ts';

/** Records that a grant in force was reviewed and goes on, and sets its next review. A missed one is made up for by it. */
export const reviewGrant = controlOperation(
  'grant.review',
  (context, args: GrantTarget & { grounds: string }, who): Grant => {
    const grant = mustFind(context, args, who);
    const { at } = args.by;
    if (grant.state !== 'active')
      refuse('illegal_transition', 'Only a grant in force is reviewed.');
    if (grant.endedAt !== null || Date.parse(grant.spec.window.until) <= at)
      refuse('grant_expired');
    if (grant.spec.review === null)
      refuse('invalid_request', 'The text of this grant asks for no reviews ("review").');
    const reviewDueAt = after(at, grant.spec.review.every);
    context.db
      .update(grants)
      .set({ reviewDueAt, updatedAt: at })
      .where(eq(grants.id, grant.id))
      .run();
    const { grounds } = args;
    return recorded(context, grant.id, 'grant.reviewed', args.by, who, { grounds });
  },
  (args) => args.grantId,
);
