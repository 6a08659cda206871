import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { AUTHORITY, isWithin, reachOf } from '../../src/core/authority.ts';
import type { Approval } from '../../src/core/approvals.ts';
import {
  decideAmendment,
  decideStep,
  type GrantStep,
  type StepOutcome,
} from '../../src/core/grant-steps.ts';
import type { Refusal } from '../../src/core/denials.ts';
import type { Grant, GrantState } from '../../src/core/grants.ts';
import type { Member } from '../../src/core/people.ts';
import {
  HOST,
  LEAD,
  OTHER_PARTNER,
  PARTNER,
  RESEARCHER,
  aGrant,
  aLab,
  aMember,
} from '../support/facts.ts';

const ADMIN = aMember(HOST, 'admin', 'admin');
const SAFETY = aMember(HOST, 'safety', 'safety');
const BOTH = aMember(HOST, 'both', 'admin', 'safety');
const AUDITOR = aMember(HOST, 'auditor', 'auditor');

const STATES: GrantState[] = [
  'draft',
  'submitted',
  'returned',
  'approved',
  'active',
  'rejected',
  'withdrawn',
  'revoked',
  'closed',
];

type Step = GrantStep | 'amend';

const STEPS: Step[] = [
  'amend',
  'submit',
  'return',
  'approve',
  'reject',
  'withdraw',
  'accept',
  'revoke',
  'close',
];

/** The whole procedure, written down once more: state, step, who takes it, where it leads. */
const LEGAL: [GrantState, Step, Member, GrantState][] = [
  ['draft', 'amend', LEAD, 'draft'],
  ['draft', 'submit', LEAD, 'submitted'],
  ['returned', 'amend', LEAD, 'returned'],
  ['returned', 'submit', LEAD, 'submitted'],
  ['submitted', 'return', ADMIN, 'returned'],
  ['submitted', 'approve', ADMIN, 'submitted'],
  ['submitted', 'reject', SAFETY, 'rejected'],
  ['submitted', 'revoke', SAFETY, 'revoked'],
  ['draft', 'withdraw', LEAD, 'withdrawn'],
  ['submitted', 'withdraw', LEAD, 'withdrawn'],
  ['returned', 'withdraw', LEAD, 'withdrawn'],
  ['approved', 'amend', ADMIN, 'approved'],
  ['active', 'amend', ADMIN, 'active'],
  ['approved', 'accept', LEAD, 'active'],
  ['approved', 'revoke', ADMIN, 'revoked'],
  ['approved', 'close', LEAD, 'closed'],
  ['active', 'accept', RESEARCHER, 'active'],
  ['active', 'revoke', SAFETY, 'revoked'],
  ['active', 'close', LEAD, 'closed'],
];

const fresh = (state: GrantState, changes: Partial<Grant> = {}): Grant =>
  aGrant({ state, acceptedBy: [], acceptedForLabBy: null, ...changes });

/** The step, taken by somebody of the lab that wrote the grant; an amendment changes the title. */
function decide(grant: Grant, step: Step, who: Member): StepOutcome | Refusal {
  if (step !== 'amend') return decideStep(grant, step, who, { authorLabs: [PARTNER.id] });
  const amended = decideAmendment(grant, { ...grant.spec, title: 'Another title' }, who);
  return typeof amended === 'string'
    ? { of: 'grant', state: grant.state, proposed: null }
    : amended;
}

const approval = (who: Member, as: Approval['as']): Approval => ({
  personId: who.person.id,
  as,
  at: 0,
});

describe('steps between states', () => {
  test.each(LEGAL)('a %s grant: %s', (state, step, who, to) => {
    expect(decide(fresh(state), step, who)).toMatchObject({ state: to });
  });

  const illegal = STATES.flatMap((state) =>
    STEPS.filter((step) => !LEGAL.some(([from, legal]) => from === state && legal === step)).map(
      (step) => [state, step] as const,
    ),
  );

  test.each(illegal)('a %s grant refuses %s to everybody', (state, step) => {
    for (const who of [ADMIN, SAFETY, BOTH, LEAD, RESEARCHER])
      expect(decide(fresh(state), step, who)).toMatchObject({ code: 'illegal_transition' });
  });

  test('a refusal names the state and the states in which the step is possible', () => {
    expect(decideStep(fresh('closed'), 'accept', LEAD)).toMatchObject({
      message: expect.stringMatching(/closed.*approved or active/) as string,
    });
  });
});

describe('invariant 6: two people', () => {
  test('one admin and one safety officer approve, in either order', () => {
    for (const [[first, as], [second, then]] of [
      [
        [ADMIN, 'admin'],
        [SAFETY, 'safety'],
      ],
      [
        [SAFETY, 'safety'],
        [ADMIN, 'admin'],
      ],
    ] as const) {
      expect(decideStep(fresh('submitted'), 'approve', first)).toMatchObject({
        state: 'submitted',
        approvesAs: as,
      });
      const half = fresh('submitted', { approvals: [approval(first, as)] });
      expect(decideStep(half, 'approve', second)).toMatchObject({
        state: 'approved',
        approvesAs: then,
      });
    }
  });

  test('a person with both roles counts once', () => {
    expect(decideStep(fresh('submitted'), 'approve', BOTH)).toMatchObject({ approvesAs: 'admin' });
    const half = fresh('submitted', { approvals: [approval(BOTH, 'admin')] });
    expect(decideStep(half, 'approve', BOTH)).toMatchObject({ code: 'already_decided' });
    expect(decideStep(half, 'approve', SAFETY)).toMatchObject({ state: 'approved' });
  });

  test('a person with both roles fills the part that is left', () => {
    const half = fresh('submitted', { approvals: [approval(ADMIN, 'admin')] });
    expect(decideStep(half, 'approve', BOTH)).toMatchObject({
      state: 'approved',
      approvesAs: 'safety',
    });
  });

  test('two of one role are not two', () => {
    const half = fresh('submitted', { approvals: [approval(ADMIN, 'admin')] });
    const second = aMember(HOST, 'second', 'admin');
    expect(decideStep(half, 'approve', second)).toMatchObject({
      code: 'approval_not_needed',
      message: expect.stringContaining('safety') as string,
    });
  });

  test('the author of any version never approves', () => {
    for (const author of [ADMIN, SAFETY, BOTH]) {
      const grant = fresh('submitted', {
        version: 3,
        authorIds: [LEAD.person.id, author.person.id],
      });
      expect(decideStep(grant, 'approve', author)).toMatchObject({ code: 'author_may_not_decide' });
    }
  });

  test("a partner's people never count, whatever role they are said to hold", () => {
    for (const lab of [PARTNER, OTHER_PARTNER, aLab('auditor')])
      for (const role of ['admin', 'safety'] as const)
        expect(
          decideStep(fresh('submitted'), 'approve', aMember(lab, 'infiltrator', role)),
        ).toMatchObject({ code: 'role_required' });
  });

  test('an auditor of the host does not approve', () => {
    expect(decideStep(fresh('submitted'), 'approve', AUDITOR)).toMatchObject({
      code: 'approval_not_needed',
    });
  });
});

describe('acceptance', () => {
  test("nobody accepts before the partner's lead has, for the lab", () => {
    expect(decideStep(fresh('approved'), 'accept', RESEARCHER)).toMatchObject({
      code: 'illegal_transition',
    });
    expect(decideStep(fresh('approved'), 'accept', LEAD)).toMatchObject({
      state: 'active',
      forLab: true,
    });
  });

  test('another lab finds no such grant', () => {
    const foreign = aMember(OTHER_PARTNER, 'foreign', 'lead');
    for (const state of ['approved', 'active'] as const)
      expect(decideStep(fresh(state), 'accept', foreign)).toMatchObject({ code: 'not_found' });
    expect(decideStep(fresh('approved'), 'accept', ADMIN)).toMatchObject({ code: 'not_found' });
  });

  test('only people on the roster accept an active grant, each once', () => {
    const stranger = aMember(PARTNER, 'stranger', 'researcher');
    const active = fresh('active', { acceptedForLabBy: LEAD.person.id });
    expect(decideStep(active, 'accept', stranger)).toMatchObject({ code: 'person_not_on_grant' });
    expect(decideStep(active, 'accept', RESEARCHER)).toMatchObject({
      state: 'active',
      forLab: false,
    });
    const accepted = { ...active, acceptedBy: [RESEARCHER.person.id] };
    expect(decideStep(accepted, 'accept', RESEARCHER)).toMatchObject({ code: 'already_decided' });
  });
});

describe('whatever is tried, by whomever, in whatever order', () => {
  const CAST = [
    ADMIN,
    aMember(HOST, 'admin2', 'admin'),
    SAFETY,
    aMember(HOST, 'safety2', 'safety'),
    BOTH,
    AUDITOR,
    LEAD,
    aMember(PARTNER, 'lead2', 'lead', 'researcher'),
    RESEARCHER,
    aMember(OTHER_PARTNER, 'foreign', 'lead'),
    aMember(aLab('auditor'), 'outside', 'auditor'),
  ];

  /** Takes a step as the store does: the role first, then the rules between people. */
  function take(grant: Grant, step: Step, who: Member): Grant {
    const reach = reachOf(who, `grant.${step}` satisfies keyof typeof AUTHORITY);
    if (typeof reach !== 'string' || !isWithin(reach, who, { labId: grant.spec.lab })) return grant;
    const outcome = decide(grant, step, who);
    // What becomes of a text in force that is amended: grant-versions.test.ts.
    if ('code' in outcome || (step === 'amend' && ['approved', 'active'].includes(grant.state)))
      return grant;
    const { id } = who.person;
    const next = { ...grant, state: outcome.state };
    if (step === 'amend')
      return {
        ...next,
        version: grant.version + 1,
        approvals: [],
        acceptedBy: [],
        authorIds: [...grant.authorIds, id],
      };
    if (outcome.approvesAs)
      return { ...next, approvals: [...grant.approvals, approval(who, outcome.approvesAs)] };
    if (step === 'accept')
      return {
        ...next,
        acceptedBy: [...grant.acceptedBy, id],
        acceptedForLabBy: outcome.forLab ? id : grant.acceptedForLabBy,
      };
    return next;
  }

  const person = (id: string): Member => CAST.find((who) => who.person.id === id) as Member;

  test('an active grant has two approvers of the host and the acceptance of a lead', () => {
    let activated = 0;
    fc.assert(
      fc.property(
        fc.constantFrom(...CAST),
        fc.array(
          fc.tuple(
            // Steps that lead on are more likely, so that many sequences end in an active grant.
            fc.oneof(
              { weight: 15, arbitrary: fc.constantFrom<Step>('submit', 'approve', 'accept') },
              { weight: 1, arbitrary: fc.constantFrom(...STEPS) },
            ),
            fc.constantFrom(...CAST),
          ),
          { minLength: 15, maxLength: 60 },
        ),
        (author, steps) => {
          let grant = fresh('draft', { authorIds: [author.person.id] });
          for (const [step, who] of steps) {
            grant = take(grant, step, who);
            if (grant.state !== 'approved' && grant.state !== 'active') continue;
            const approvers = grant.approvals.map(({ personId }) => person(personId));
            expect(new Set(approvers.map((one) => one.person.id)).size).toBe(2);
            expect(grant.approvals.map(({ as }) => as).sort()).toEqual(['admin', 'safety']);
            for (const { personId, as } of grant.approvals) {
              expect(person(personId).lab.kind).toBe('host');
              expect(person(personId).person.roles).toContain(as);
              expect(grant.authorIds).not.toContain(personId);
            }
            if (grant.state !== 'active') continue;
            activated += 1;
            const lead = person(grant.acceptedForLabBy as string);
            expect(lead.person.roles).toContain('lead');
            expect(lead.lab.id).toBe(grant.spec.lab);
          }
        },
      ),
      { numRuns: 1_000 },
    );
    // Otherwise the property above would say nothing.
    expect(activated).toBeGreaterThan(50);
  });

  test('what has ended stays ended', () => {
    fc.assert(
      fc.property(
        fc.constantFrom<GrantState>('rejected', 'withdrawn', 'revoked', 'closed'),
        fc.array(fc.tuple(fc.constantFrom(...STEPS), fc.constantFrom(...CAST))),
        (end, steps) => {
          const grant = fresh(end);
          for (const [step, who] of steps) expect(take(grant, step, who)).toBe(grant);
        },
      ),
    );
  });
});
