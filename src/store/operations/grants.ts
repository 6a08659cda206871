/** Grants: the first draft, and every later text. */
import { RefusedError, refuse } from '../../core/denials.ts';
import { changesBetween } from '../../core/grant-changes.ts';
import { decideAmendment } from '../../core/grant-steps.ts';
import type { Grant } from '../../core/grants.ts';
import type { WriterContext } from '../context.ts';
import { grants } from '../schema.ts';
import {
  approvedVersion,
  forgetApprovals,
  insertVersion,
  mustBeGrantable,
  mustBeText,
  mustFind,
  recorded,
  textForLog,
  updateGrant,
  type Draft,
  type GrantTarget,
} from './grant-texts.ts';
import { tellOfAmendment } from './grant-notices.ts';
import { controlOperation, mustReach, type Authorised, type By } from './operation.ts';
import { mustNameRealPeople } from './roster.ts';

export const createGrant = controlOperation(
  'grant.create',
  (context, args: { by: By; id: string } & Draft, who): Grant => {
    mustReach(who, { labId: args.spec.lab });
    mustBeGrantable(context, args.spec);
    mustNameRealPeople(context, args.spec);
    context.db
      .insert(grants)
      .values({
        id: args.id,
        labId: args.spec.lab,
        state: 'draft',
        version: 1,
        acceptedForLabBy: null,
        createdAt: args.by.at,
        updatedAt: args.by.at,
      })
      .run();
    insertVersion(context, args.id, args, { follows: null }, who, args.by.at);
    return recorded(context, args.id, 'grant.created', args.by, who, textForLog(args));
  },
);

type AmendArgs = GrantTarget & Draft;

/**
 * Gives a grant a new text: in place of the one that is on its way, in force at once where it only narrows, or proposed
 * beside the one in force.
 */
export const amendGrant = controlOperation(
  'grant.amend',
  (context, args: AmendArgs, who): Grant => {
    const grant = mustFind(context, args, who);
    mustBeText(context, grant, args, args.by.at);
    const amendment = decideAmendment(grant, args.spec, who.member);
    if (typeof amendment !== 'string') throw new RefusedError(amendment);
    if (amendment !== 'own') mustNotBeOver(grant, args.by.at);
    switch (amendment) {
      case 'own':
        return rewrite(context, grant, args, who);
      case 'in_force':
        return narrow(context, grant, args, who);
      case 'proposed':
        return propose(context, grant, args, who);
    }
  },
  (args) => args.grantId,
);

function mustNotBeOver({ spec: { window } }: Grant, at: number): void {
  if (Date.parse(window.until) <= at)
    refuse(
      'grant_expired',
      `The window of this grant ended at ${window.until}. Write a new grant.`,
    );
}

function rewrite(
  context: WriterContext,
  grant: Grant,
  { by, ...draft }: AmendArgs,
  who: Authorised,
): Grant {
  const version = insertVersion(context, grant.id, draft, { follows: grant }, who, by.at);
  updateGrant(context, grant.id, { version, updatedAt: by.at });
  return recorded(context, grant.id, 'grant.amended', by, who, textForLog(draft));
}

/**
 * The text in force becomes a narrower one, on the approvals that it has. A proposed version that is under review goes
 * back to its author: it was written, and approved of, before what was narrowed, and must not undo that unseen.
 */
function narrow(
  context: WriterContext,
  grant: Grant,
  { by, ...draft }: AmendArgs,
  who: Authorised,
): Grant {
  const { approvalsNeeded, proposed } = grant;
  const restsOn = approvedVersion(context, grant.id, grant.version);
  const origin = { follows: grant, narrows: true, restsOn, approvalsNeeded };
  const version = insertVersion(context, grant.id, draft, origin, who, by.at);
  const underReview = proposed?.state === 'submitted' || proposed?.state === 'approved';
  if (underReview) forgetApprovals(context, grant.id, proposed.version);
  updateGrant(context, grant.id, {
    version,
    updatedAt: by.at,
    ...(underReview && { proposedState: 'returned' as const }),
  });
  const narrowed = recorded(context, grant.id, 'grant.amended', by, who, {
    ...textForLog(draft),
    inForce: true,
    proposalReturned: underReview ? proposed.version : undefined,
  });
  tellOfAmendment(context, narrowed, changesBetween(grant, draft.spec), by);
  return narrowed;
}

function propose(
  context: WriterContext,
  grant: Grant,
  { by, ...draft }: AmendArgs,
  who: Authorised,
): Grant {
  const { proposed } = grant;
  const version = insertVersion(context, grant.id, draft, { follows: proposed }, who, by.at);
  updateGrant(context, grant.id, {
    proposedVersion: version,
    proposedState: proposed?.state ?? 'draft',
    updatedAt: by.at,
  });
  const data = { ...textForLog(draft), inForce: false };
  return recorded(context, grant.id, 'grant.amended', by, who, data, version);
}
