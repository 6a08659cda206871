/** Grants: the steps between states, of a grant and of its proposed version. */
import { approvalsFor, type Approval } from '../../core/approvals.ts';
import type { Action } from '../../core/authority.ts';
import type { EntryKind, Json } from '../../core/audit/entry.ts';
import { RefusedError, refuse } from '../../core/denials.ts';
import {
  decideStep,
  refusalOfNarrowed,
  type GrantStep,
  type StepOutcome,
} from '../../core/grant-steps.ts';
import type { Grant, GrantText } from '../../core/grants.ts';
import type { WriterContext } from '../context.ts';
import { readMember } from '../records.ts';
import { grantAcceptances, grantApprovals, grantVersions } from '../schema.ts';
import { withCounting } from './grant-approvals.ts';
import { followEnd } from './grant-ends.ts';
import { tellOfStep } from './grant-notices.ts';
import {
  forgetApprovals,
  insertVersion,
  isVersion,
  mustBeGrantable,
  mustBeText,
  mustFind,
  passOrRefuse,
  recorded,
  textForLog,
  updateGrant,
  type Draft,
  type GrantTarget,
} from './grant-texts.ts';
import { withdrawOntoEnded } from './open-invitations.ts';
import { controlOperation, type Authorised, type Operation } from './operation.ts';
import { mustHoldJoiners } from './roster.ts';

interface StepArgs extends GrantTarget {
  /** The version that the actor saw. Given, the decision cannot land on a later text. */
  version?: number | undefined;
  grounds?: string | undefined;
  comment?: string | undefined;
  /** For `accept`: the digest of the terms that were read. */
  termsDigest?: string | undefined;
  /** For `approve`: the narrower text that is approved in place of the one under review. */
  narrowed?: Draft | undefined;
}

/** A step as it is taken. */
interface Taken {
  context: WriterContext;
  grant: Grant;
  /** The text that it is about. */
  text: GrantText;
  outcome: StepOutcome;
  args: StepArgs;
  who: Authorised;
}

const ENTRY_OF: Record<GrantStep, EntryKind> = {
  submit: 'grant.submitted',
  return: 'grant.returned',
  approve: 'grant.approved',
  reject: 'grant.rejected',
  withdraw: 'grant.withdrawn',
  accept: 'grant.terms_accepted',
  revoke: 'grant.revoked',
  close: 'grant.closed',
};

/** Steps that end a grant, and what they are for its duties. */
const ENDS: Partial<Record<GrantStep, 'revoked' | 'closed'>> = {
  revoke: 'revoked',
  close: 'closed',
};

/** Steps towards a grant in force: of no use once its window is over. */
const LEADS_ON: ReadonlySet<GrantStep> = new Set(['submit', 'approve', 'accept']);

function stepOperation(step: GrantStep): Operation<StepArgs, Grant> {
  const action: Action = `grant.${step}`;
  return controlOperation(
    action,
    (context, args: StepArgs, who) => {
      const found = mustFind(context, args, who);
      const grant = step === 'approve' ? withCounting(context, found, args, who) : found;
      const taken = mustTake(context, grant, step, args, who);
      const { outcome } = taken;
      // What has expired on record has told of its end, and has its duties.
      const cause = grant.endedAt === null ? ENDS[step] : undefined;
      const work = WORK[step]?.(taken) ?? {};
      const version = work.version ?? taken.text.version;
      updateGrant(context, grant.id, {
        state: outcome.state,
        updatedAt: args.by.at,
        acceptedForLabBy: outcome.forLab ? who.member.person.id : grant.acceptedForLabBy,
        ...placed(taken, version),
        ...(cause && { endedAt: args.by.at }),
      });
      const { of } = outcome;
      const data = { grounds: args.grounds, comment: args.comment, of, ...work.data };
      const moved = recorded(context, grant.id, ENTRY_OF[step], args.by, who, data, version);
      if (step !== 'revoke' && step !== 'close')
        tellOfStep(
          context,
          step,
          { before: grant, after: moved, outcome, grounds: args.grounds },
          args.by,
        );
      const { actor } = who;
      withdrawOntoEnded(context, moved, { at: args.by.at, actor });
      if (cause) followEnd(context, moved, { cause, at: args.by.at, actor });
      return moved;
    },
    (args) => args.grantId,
  );
}

export const submitGrant = stepOperation('submit');
export const returnGrant = stepOperation('return');
export const approveGrant = stepOperation('approve');
export const rejectGrant = stepOperation('reject');
export const withdrawGrant = stepOperation('withdraw');
export const acceptGrant = stepOperation('accept');
export const revokeGrant = stepOperation('revoke');
export const closeGrant = stepOperation('close');

/** Decides the step on the rows as they stand. @throws RefusedError */
function mustTake(
  context: WriterContext,
  grant: Grant,
  step: GrantStep,
  args: StepArgs,
  who: Authorised,
): Taken {
  const { termsDigest } = args;
  const authorLabs = step === 'withdraw' ? labsOfAuthors(context, grant) : undefined;
  const outcome = decideStep(grant, step, who.member, { termsDigest, authorLabs });
  if ('code' in outcome) throw new RefusedError(outcome);
  const text = outcome.of === 'proposal' ? (grant.proposed as GrantText) : grant;
  if (args.version !== undefined && args.version !== text.version) {
    refuse(
      'illegal_transition',
      `You name version ${args.version}; the grant stands at version ${text.version}. Read it again.`,
    );
  }
  if (LEADS_ON.has(step)) {
    mustLastBeyond(grant, text, args.by.at);
    if (step !== 'accept') mustBeGrantable(context, (args.narrowed ?? text).spec);
  }
  return { context, grant, text, outcome, args, who };
}

function labsOfAuthors({ db }: WriterContext, grant: Grant): string[] {
  const { authorIds } = grant.proposed ?? grant;
  return authorIds.flatMap((id) => readMember(db, id)?.lab.id ?? []);
}

/** The window of a text must not be over; nor that in force, which a proposed one cannot outlive. */
function mustLastBeyond(grant: Grant, text: GrantText, at: number): void {
  const isProposal = text !== grant;
  for (const { spec } of isProposal ? [grant, text] : [text]) {
    const { until } = spec.window;
    if (Date.parse(until) > at) continue;
    const remedy = isProposal && spec === text.spec ? REMEDY.returned : REMEDY[grant.state];
    refuse('grant_expired', `The window of this grant ended at ${until}. ${remedy}`);
  }
}

const AMEND = 'Set a later window.until with "sallyport grant apply".';
const WRITE_NEW = 'Write a new grant.';

const REMEDY: Record<Grant['state'], string> = {
  draft: AMEND,
  returned: AMEND,
  submitted: `Return it to its author. ${AMEND}`,
  approved: WRITE_NEW,
  active: WRITE_NEW,
  rejected: WRITE_NEW,
  withdrawn: WRITE_NEW,
  revoked: WRITE_NEW,
  closed: WRITE_NEW,
};

/** What the row of a grant says of its texts after a step. */
function placed(
  { outcome: { of, proposed } }: Taken,
  version: number,
): {
  version?: number;
  proposedVersion?: number | null;
  proposedState?: Exclude<StepOutcome['proposed'], 'in_force'>;
} {
  const none = { proposedVersion: null, proposedState: null };
  if (of === 'grant') return { version, ...(proposed === null ? none : {}) };
  if (proposed === null) return none;
  if (proposed === 'in_force') return { version, ...none };
  return { proposedVersion: version, proposedState: proposed };
}

interface Done {
  data?: Record<string, Json | undefined>;
  /** The version that the step made. */
  version?: number;
}

/** What a step writes beside the states. */
const WORK: Partial<Record<GrantStep, (taken: Taken) => Done>> = {
  submit({ context, grant, text }) {
    const { rules, grantSettings } = context;
    const needed = approvalsFor(text.spec, rules.approvals, grantSettings.approvalsOf);
    context.db
      .update(grantVersions)
      .set({ approvalsNeeded: needed })
      .where(isVersion(grant.id, text.version))
      .run();
    return { data: { approvalsNeeded: needed } };
  },

  // A return objects to the text: what others approved before they knew of it counts no more.
  return({ context, grant, text }) {
    forgetApprovals(context, grant.id, text.version);
    return {};
  },

  approve(taken) {
    const { context, grant, text, outcome, args, who } = taken;
    const { narrowed } = args;
    const version = narrowed ? narrow(taken, narrowed) : text.version;
    context.db
      .insert(grantApprovals)
      .values({
        grantId: grant.id,
        version,
        approvedAs: outcome.approvesAs as Approval['as'],
        personId: who.member.person.id,
        at: args.by.at,
      })
      .run();
    mustHoldWhenInForce(taken);
    return {
      version,
      data: {
        as: outcome.approvesAs,
        ...(narrowed && { narrows: text.version, ...textForLog(narrowed) }),
      },
    };
  },

  accept(taken) {
    const { context, grant, text, outcome, args, who } = taken;
    const { termsDigest } = text;
    if (args.termsDigest !== termsDigest) {
      refuse(
        'invalid_request',
        `The terms of this grant have the digest ${termsDigest}. Read them and accept that.`,
        { param: 'termsDigest' },
      );
    }
    mustHoldWhenInForce(taken);
    context.db
      .insert(grantAcceptances)
      .values({ grantId: grant.id, termsDigest, personId: who.member.person.id, at: args.by.at })
      .onConflictDoNothing()
      .run();
    return { data: { termsDigest, forLab: outcome.forLab } };
  },
};

/** People may have joined by invitation since the text was written. */
function mustHoldWhenInForce({ context, grant, text, outcome, args }: Taken): void {
  if (outcome.proposed === 'in_force')
    mustHoldJoiners(context, { ...grant, spec: text.spec }, args.by.at);
}

/** Puts a narrower text in the place of the one under review. @returns its version, which nobody has approved yet */
function narrow({ context, grant, text, args, who }: Taken, narrowed: Draft): number {
  passOrRefuse(refusalOfNarrowed(grant, text.spec, narrowed.spec));
  mustBeText(context, grant, narrowed, args.by.at);
  const { approvalsNeeded } = text;
  const origin = { follows: text, narrows: true, approvalsNeeded };
  return insertVersion(context, grant.id, narrowed, origin, who, args.by.at);
}
