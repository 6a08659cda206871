import { beforeEach, describe, expect, test } from 'vitest';
import { eq } from 'drizzle-orm';
import { openApprovals } from '../../src/core/approvals.ts';
import type { Grant } from '../../src/core/grants.ts';
import { mintId } from '../../src/lib/ids.ts';
import type { Call } from '../../src/store/group-commit.ts';
import { readGrant } from '../../src/store/records.ts';
import { people } from '../../src/store/schema.ts';
import {
  LocalWriter,
  by,
  entriesOf,
  makeDataDirectory,
  makeWorld,
  openThreadStore,
  submitGrant,
  tally,
  type World,
} from '../support/store.ts';

const NOW = Date.now();

describe('invariant 6: two people, in one commit', () => {
  let writer: LocalWriter;
  let world: World;
  let grantId: string;

  beforeEach(async () => {
    writer = new LocalWriter(makeDataDirectory(), NOW);
    world = await makeWorld(writer.write, NOW);
    grantId = await submitGrant(writer.write, world, NOW);
  });

  const approve = (who: string): Call => writer.call('approveGrant', { by: by(who, NOW), grantId });
  const remove = (who: string): Call =>
    writer.call('removePerson', { by: by(world.secondAdmin, NOW), personId: who });

  const outcomes = (...calls: Call[]): string[] =>
    writer
      .commit(...calls)
      .answers.map((answer) =>
        'value' in answer ? 'done' : 'refused' in answer ? answer.refused.code : 'failed',
      );

  const grant = (): ReturnType<typeof readGrant> => readGrant(writer.context.db, grantId);
  const recorded = (kind: string): number =>
    writer.entries().filter((entry) => entry.kind === kind && entry.ref === grantId).length;

  test.each([
    ['admin first', (): string[] => [world.admin, world.safety]],
    ['safety officer first', (): string[] => [world.safety, world.admin]],
  ])('two approvals take effect exactly once: %s', (_order, approvers) => {
    expect(outcomes(...approvers().map(approve))).toEqual(['done', 'done']);
    expect(grant()).toMatchObject({ state: 'approved' });
    expect(
      grant()
        ?.approvals.map(({ as }) => as)
        .sort(),
    ).toEqual(['admin', 'safety']);
    expect(recorded('grant.approved')).toBe(2);
  });

  test('the same two, twice each, are still two', () => {
    const { admin, safety } = world;
    expect(outcomes(...[admin, admin, safety, safety].map(approve))).toEqual([
      'done',
      'already_decided',
      'done',
      'illegal_transition',
    ]);
    expect(grant()?.approvals).toHaveLength(2);
    expect(recorded('action.denied')).toBe(2);
  });

  test('two of the same role are one', () => {
    expect(outcomes(approve(world.admin), approve(world.secondAdmin))).toEqual([
      'done',
      'approval_not_needed',
    ]);
    expect(grant()).toMatchObject({ state: 'submitted' });
  });

  test('an approver who is removed first does not approve any more', () => {
    const { admin, safety } = world;
    expect(outcomes(approve(admin), remove(safety), approve(safety))).toEqual([
      'done',
      'done',
      'person_removed',
    ]);
    expect(grant()).toMatchObject({ state: 'submitted', approvals: [{ as: 'admin' }] });
    expect(writer.entries().at(-1)).toMatchObject({
      kind: 'action.denied',
      reason: 'person_removed',
      ref: grantId,
    });
  });

  test('an approver who has lost the role by the last approval counts no more, and what is missing is said', () => {
    const { admin, safety, secondAdmin } = world;
    expect(outcomes(approve(admin))).toEqual(['done']);
    writer.context.db
      .update(people)
      .set({ roles: ['researcher'] })
      .where(eq(people.id, admin))
      .run();
    expect(outcomes(approve(safety))).toEqual(['done']);
    expect(grant()).toMatchObject({ state: 'submitted', approvals: [{ personId: safety }] });
    expect(openApprovals(grant() as Grant)).toEqual(['admin']);
    expect(
      writer
        .entries()
        .filter(({ ref }) => ref === grantId)
        .slice(-2),
    ).toMatchObject([
      {
        kind: 'grant.approvals_dropped',
        data: { dropped: [{ person: admin, as: 'admin', because: 'role_required' }] },
      },
      { kind: 'grant.approved', data: { as: 'safety', state: 'submitted' } },
    ]);
    expect(outcomes(approve(secondAdmin))).toEqual(['done']);
    expect(grant()).toMatchObject({ state: 'approved' });
  });

  test('what is refused drops nothing', () => {
    const { admin, secondSafety } = world;
    expect(outcomes(approve(admin), approve(secondSafety))).toEqual(['done', 'done']);
    expect(outcomes(approve(world.safety))).toEqual(['illegal_transition']);
    expect(recorded('grant.approvals_dropped')).toBe(0);
  });

  test('an approval and a rejection: whichever comes first, only one of them ends it', () => {
    const reject = writer.call('rejectGrant', { by: by(world.secondSafety, NOW), grantId });
    expect(outcomes(approve(world.admin), reject, approve(world.safety))).toEqual([
      'done',
      'done',
      'illegal_transition',
    ]);
    expect(grant()).toMatchObject({ state: 'rejected' });
  });

  test('an approval never lands on a text that came after it was read', () => {
    const { lead, admin, safety } = world;
    const spec = grant()?.spec as NonNullable<ReturnType<typeof grant>>['spec'];
    const step = (name: 'returnGrant' | 'submitGrant', who: string): Call =>
      writer.call(name, { by: by(who, NOW), grantId });
    outcomes(approve(admin), step('returnGrant', safety));
    const amend = writer.call('amendGrant', {
      by: by(lead, NOW),
      grantId,
      spec: { ...spec, title: 'Another text' },
      termsDigest: 'e'.repeat(64),
    });
    const stale = writer.call('approveGrant', { by: by(safety, NOW), grantId, version: 1 });
    expect(outcomes(amend, step('submitGrant', lead), stale)).toEqual([
      'done',
      'done',
      'illegal_transition',
    ]);
    // The approval of the old text is gone with it.
    expect(grant()).toMatchObject({ version: 2, state: 'submitted', approvals: [] });
  });

  test("a lead approves nothing, and the host's people accept nothing", () => {
    const accept = writer.call('acceptGrant', {
      by: by(world.admin, NOW),
      grantId: world.grant.id,
      termsDigest: world.grant.termsDigest,
    });
    expect(outcomes(approve(world.lead), accept)).toEqual(['role_required', 'role_required']);
  });

  test('whoever issued an order does not lift it; two who do, lift it once', () => {
    const id = mintId('ord', NOW);
    const spec = {
      level: 4 as const,
      selector: { all: true as const },
      grounds: 'x',
      measures: {},
      authority: { kind: 'officer' as const },
    };
    const lift = (who: string): Call =>
      writer.call('liftOrder', { by: by(who, NOW), orderId: id, concerned: [], grounds: 'done' });
    expect(
      outcomes(
        writer.call('issueOrder', {
          by: by(world.safety, NOW),
          id,
          spec,
          concerned: [],
          recalled: [],
        }),
        lift(world.safety),
        lift(world.secondSafety),
        lift(world.admin),
      ),
    ).toEqual(['done', 'second_person_needed', 'done', 'order_not_in_force']);
  });
});

test('everybody approves at the same moment, through the writer thread: it takes effect once', async () => {
  const it = await openThreadStore(makeDataDirectory());
  const world = await makeWorld(it.write, NOW);
  const grantId = await submitGrant(it.write, world, NOW);
  const { admin, secondAdmin, safety, secondSafety } = world;
  const everybody = Array.from({ length: 10 }, () => [admin, secondAdmin, safety, secondSafety]);
  const counts = await tally(
    everybody.flat().map((who) => it.write('approveGrant', { by: by(who, NOW), grantId })),
  );
  expect(counts.passed).toBe(2);
  const grant = it.readers.readGrant(grantId);
  expect(grant?.state).toBe('approved');
  expect(new Set(grant?.approvals.map(({ personId }) => personId)).size).toBe(2);
  const entries = entriesOf(it.readers).filter(({ ref }) => ref === grantId);
  expect(entries.filter(({ kind }) => kind === 'grant.approved')).toHaveLength(2);
  expect(entries.filter(({ kind }) => kind === 'action.denied')).toHaveLength(38);
});
