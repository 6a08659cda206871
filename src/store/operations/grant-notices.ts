/** Who is told what of a grant's way. */
import type { Change } from '../../core/grant-changes.ts';
import type { StepOutcome } from '../../core/grant-steps.ts';
import { openApprovals } from '../../core/approvals.ts';
import { rosterOf, type Grant } from '../../core/grants.ts';
import type { NoticeDraft, NoticeKind } from '../../core/notices.ts';
import type { WriterContext } from '../context.ts';
import { notify } from '../notify.ts';
import type { By } from './operation.ts';

/** The steps that somebody is told of. An end is told by what follows from it. */
type ToldStep = 'submit' | 'return' | 'approve' | 'reject' | 'withdraw' | 'accept';

/**
 * Tells those concerned of a step.
 *
 * @param before the grant before the step
 * @param after the grant as the step left it
 */
/** What a step came to, and why it was taken. */
interface ToldOutcome {
  before: Grant;
  after: Grant;
  outcome: StepOutcome;
  grounds: string | undefined;
}

export function tellOfStep(
  context: WriterContext,
  step: ToldStep,
  { before, after, outcome, grounds }: ToldOutcome,
  { at }: By,
): void {
  const told = noticeOf(context, step, { before, after, outcome, grounds });
  if (told) notify(context, { ...told, ref: after.id, at });
}

function noticeOf(
  context: WriterContext,
  step: ToldStep,
  { before, after, outcome: { of, proposed }, grounds }: ToldOutcome,
): Omit<NoticeDraft, 'ref' | 'at'> | undefined {
  const what =
    of === 'proposal' && before.proposed
      ? `Version ${before.proposed.version} of the grant "${before.spec.title}"`
      : `The grant "${after.spec.title}"`;
  const why = grounds === undefined ? '' : `: ${grounds}`;
  const host = { labId: context.host };
  const partner = { labId: after.spec.lab };
  const told = (kind: NoticeKind, to: NoticeDraft['to'], title: string) => ({ kind, to, title });
  switch (step) {
    case 'submit': {
      const needed = openApprovals((of === 'proposal' ? after.proposed : after) ?? after);
      return told(
        'grant.submitted',
        [host],
        `${what} was submitted; it needs the approval of: ${needed.join(', ')}.`,
      );
    }
    case 'return':
      return told(
        'grant.returned',
        [host, partner],
        `${what} was returned${why}; its author amends it.`,
      );
    case 'reject':
      return told('grant.rejected', [host, partner], `${what} was rejected${why}.`);
    case 'withdraw':
      return told('grant.withdrawn', [host, partner], `${what} was withdrawn.`);
    case 'approve':
      if (of === 'proposal' && proposed === 'in_force')
        return told('grant.amended', [host, partner, ...peopleOf(after)], `${what} is in force.`);
      if (of === 'proposal' ? proposed === 'approved' : after.state === 'approved')
        return told(
          'grant.approved',
          [partner],
          `${what} is approved; a lead accepts its terms ("sallyport grant accept ${after.id}").`,
        );
      return undefined;
    case 'accept':
      if (of === 'proposal')
        return told(
          'grant.terms_changed',
          [host, partner, ...peopleOf(after)],
          `${what} is in force, with new terms: each person accepts them before the next token ("sallyport grant accept ${after.id}").`,
        );
      return before.state === 'active'
        ? undefined
        : told('grant.activated', [host, partner, ...peopleOf(after)], `${what} is active.`);
  }
}

/** Tells the partner of what was narrowed, and the host, in case it was a mistake. */
export function tellOfAmendment(
  context: WriterContext,
  grant: Grant,
  changes: readonly Change[],
  { at }: By,
): void {
  const kind = changes.some(({ effect }) => effect !== 'neutral')
    ? 'grant.narrowed'
    : 'grant.amended';
  notify(context, {
    kind,
    ref: grant.id,
    at,
    to: [{ labId: context.host }, { labId: grant.spec.lab }, ...peopleOf(grant)],
    title: `The grant "${grant.spec.title}" is in force as version ${grant.version}: see "sallyport grant show ${grant.id}".`,
    data: {
      version: grant.version,
      changes: changes.map(({ path, effect }) => ({ path, effect })),
    },
  });
}

const peopleOf = (grant: Grant): NoticeDraft['to'] =>
  rosterOf(grant).map(({ personId }) => ({ labId: grant.spec.lab, personId }));
