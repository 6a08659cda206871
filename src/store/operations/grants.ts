/** Grants: drafts and the steps between states. */
import { and, eq } from 'drizzle-orm';
import type { Action } from '../../core/authority.ts';
import type { EntryKind, Json } from '../../core/audit/entry.ts';
import { RefusedError, refuse } from '../../core/denials.ts';
import { decideStep, type Grant, type GrantSpec, type GrantStep } from '../../core/grants.ts';
import type { WriterContext } from '../context.ts';
import { readGrant } from '../records.ts';
import { grantAcceptances, grantApprovals, grantVersions, grants } from '../schema.ts';
import { withdrawOntoEnded } from './open-invitations.ts';
import {
  controlOperation,
  mustReach,
  type Authorised,
  type By,
  type Operation,
} from './operation.ts';
import { mustHoldJoiners, mustNameRealPeople } from './roster.ts';

interface Draft {
  spec: GrantSpec;
  /** SHA-256 of the terms, hex. */
  termsDigest: string;
}

export const createGrant = controlOperation(
  'grant.create',
  (context, args: { by: By; id: string } & Draft, who): Grant => {
    mustReach(who, { labId: args.spec.lab });
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
    insertVersion(context, args.id, 1, args, who, args.by.at);
    return recorded(context, args.id, 'grant.created', args.by, who, {
      spec: withoutTermsText(args.spec),
      termsDigest: args.termsDigest,
    });
  },
);

export const amendGrant = controlOperation(
  'grant.amend',
  (context, args: { by: By; grantId: string } & Draft, who): Grant => {
    const grant = mustFind(context, args.grantId, who);
    mustDecide(grant, 'amend', who);
    if (args.spec.lab !== grant.spec.lab)
      refuse('invalid_request', 'A grant keeps its lab. Make a new grant.', { param: 'lab' });
    mustNameRealPeople(context, args.spec);
    mustHoldJoiners(context, { ...grant, spec: args.spec }, args.by.at);
    insertVersion(context, grant.id, grant.version + 1, args, who, args.by.at);
    context.db
      .update(grants)
      .set({ version: grant.version + 1, updatedAt: args.by.at })
      .where(eq(grants.id, grant.id))
      .run();
    return recorded(context, grant.id, 'grant.amended', args.by, who, {
      spec: withoutTermsText(args.spec),
      termsDigest: args.termsDigest,
    });
  },
  (args) => args.grantId,
);

interface StepArgs {
  by: By;
  grantId: string;
  /** The version that the actor saw. Given, the decision cannot land on a later text. */
  version?: number | undefined;
  comment?: string | undefined;
  /** For `accept`: the digest of the terms that were read. */
  termsDigest?: string | undefined;
}

const ENTRY_OF: Record<Exclude<GrantStep, 'amend'>, EntryKind> = {
  submit: 'grant.submitted',
  return: 'grant.returned',
  approve: 'grant.approved',
  reject: 'grant.rejected',
  accept: 'grant.terms_accepted',
  revoke: 'grant.revoked',
  close: 'grant.closed',
};

/** Steps towards a grant in force: of no use once its window is over. */
const LEADS_ON: ReadonlySet<GrantStep> = new Set(['submit', 'approve', 'accept']);

const AMEND = 'Set a later window.until with "sallyport grant amend".';

const REMEDY: Record<Grant['state'], string> = {
  draft: AMEND,
  returned: AMEND,
  submitted: `Return it to its author. ${AMEND}`,
  approved: 'Write a new grant.',
  active: 'Write a new grant.',
  rejected: 'Write a new grant.',
  revoked: 'Write a new grant.',
  closed: 'Write a new grant.',
};

function stepOperation(step: Exclude<GrantStep, 'amend'>): Operation<StepArgs, Grant> {
  const action: Action = `grant.${step}`;
  return controlOperation(
    action,
    (context, args: StepArgs, who) => {
      const grant = mustFind(context, args.grantId, who);
      if (args.version !== undefined && args.version !== grant.version) {
        refuse(
          'illegal_transition',
          `You name version ${args.version}; the grant stands at version ${grant.version}. Read it again.`,
        );
      }
      const at = args.by.at;
      const outcome = mustDecide(grant, step, who);
      const { until } = grant.spec.window;
      if (LEADS_ON.has(step) && Date.parse(until) <= at) {
        refuse(
          'grant_expired',
          `The window of this grant ended at ${until}. ${REMEDY[grant.state]}`,
        );
      }
      const data: Record<string, Json | undefined> = {
        comment: args.comment,
        state: outcome.state,
      };
      if (outcome.approvesAs) {
        context.db
          .insert(grantApprovals)
          .values({
            grantId: grant.id,
            version: grant.version,
            approvedAs: outcome.approvesAs,
            personId: who.member.person.id,
            at,
          })
          .run();
        data['as'] = outcome.approvesAs;
      }
      // A return objects to the text: what others approved before they knew of it counts no more.
      if (step === 'return') {
        context.db
          .delete(grantApprovals)
          .where(
            and(eq(grantApprovals.grantId, grant.id), eq(grantApprovals.version, grant.version)),
          )
          .run();
      }
      if (step === 'accept') {
        if (args.termsDigest !== grant.termsDigest) {
          refuse(
            'invalid_request',
            `The terms of this grant have the digest ${grant.termsDigest}. Read them and accept that.`,
            { param: 'termsDigest' },
          );
        }
        context.db
          .insert(grantAcceptances)
          .values({
            grantId: grant.id,
            termsDigest: grant.termsDigest,
            personId: who.member.person.id,
            at,
          })
          .onConflictDoNothing()
          .run();
        data['termsDigest'] = grant.termsDigest;
        data['forLab'] = outcome.forLab;
      }
      context.db
        .update(grants)
        .set({
          state: outcome.state,
          updatedAt: at,
          acceptedForLabBy: outcome.forLab ? who.member.person.id : grant.acceptedForLabBy,
        })
        .where(eq(grants.id, grant.id))
        .run();
      const moved = recorded(context, grant.id, ENTRY_OF[step], args.by, who, data);
      withdrawOntoEnded(context, moved, { at, actor: who.actor });
      return moved;
    },
    (args) => args.grantId,
  );
}

export const submitGrant = stepOperation('submit');
export const returnGrant = stepOperation('return');
export const approveGrant = stepOperation('approve');
export const rejectGrant = stepOperation('reject');
export const acceptGrant = stepOperation('accept');
export const revokeGrant = stepOperation('revoke');
export const closeGrant = stepOperation('close');

function mustFind(context: WriterContext, grantId: string, who: Authorised): Grant {
  const grant = readGrant(context.db, grantId) ?? refuse('not_found');
  mustReach(who, { labId: grant.spec.lab });
  return grant;
}

function mustDecide(
  grant: Grant,
  step: GrantStep,
  who: Authorised,
): Exclude<ReturnType<typeof decideStep>, { code: unknown }> {
  const outcome = decideStep(grant, step, who.member);
  if ('code' in outcome) throw new RefusedError(outcome);
  return outcome;
}

function insertVersion(
  context: WriterContext,
  grantId: string,
  version: number,
  draft: Draft,
  who: Authorised,
  at: number,
): void {
  context.db
    .insert(grantVersions)
    .values({
      grantId,
      version,
      authorId: who.member.person.id,
      spec: draft.spec,
      termsDigest: draft.termsDigest,
      createdAt: at,
    })
    .run();
}

/** The terms stand in the log by their digest; the text itself could outgrow an entry. */
function withoutTermsText(spec: GrantSpec): Json {
  return { ...spec, terms: { version: spec.terms.version } };
}

function recorded(
  context: WriterContext,
  grantId: string,
  kind: EntryKind,
  by: By,
  who: Authorised,
  data: Record<string, Json | undefined>,
): Grant {
  const grant = readGrant(context.db, grantId) ?? refuse('not_found');
  context.changed({ kind: 'grant', value: grant });
  context.append({
    id: by.entryId,
    kind,
    at: by.at,
    actor: who.actor,
    ref: grantId,
    lab: grant.spec.lab,
    grant: grantId,
    grantVersion: grant.version,
    data,
  });
  return grant;
}
