/** Operations that decide before they write have no savepoint of their own; what fails behind that all the same. */
import { beforeEach, describe, expect, test } from 'vitest';
import { mintId } from '../../src/lib/ids.ts';
import {
  LocalWriter,
  anEntry,
  by,
  makeDataDirectory,
  makeWorld,
  reserveArgs,
  settleArgs,
  type World,
} from '../support/store.ts';

const NOW = 1_750_000_000_000;

let writer: LocalWriter;
let world: World;
/** A request in flight. */
let requestId: string;

beforeEach(async () => {
  writer = new LocalWriter(makeDataDirectory(), NOW);
  world = await makeWorld(writer.write, NOW);
  const args = reserveArgs(world, { epoch: writer.context.epoch, at: NOW });
  ({ requestId } = args.facts);
  await writer.write('reserve', args);
});

/** Fails when its row is written, behind its entry. */
const halfDone = (): ReturnType<LocalWriter['call']> => {
  const closeRow = writer.context.closeRow.bind(writer.context);
  writer.context.closeRow = (id, closing) => {
    if (closing.charge.tokens === HALF_DONE) throw new Error('settle was to fail here');
    closeRow(id, closing);
  };
  return writer.call('settle', settleArgs(requestId, NOW, { tokens: HALF_DONE, spendNanoUsd: 1 }));
};

const HALF_DONE = 4_321;

const grantState = (): unknown =>
  writer.context.db.$client
    .prepare('SELECT state FROM grants WHERE id = ?')
    .pluck()
    .get(world.grant.id);

describe('a settlement that fails behind its first write', () => {
  test('leaves nothing, and the others of its batch stand', () => {
    const { size } = writer.context;
    const scope = { grantId: world.grant.id, personId: '' };
    const charged = writer.context.ledger.charged(scope);
    const { answers } = writer.commit(
      writer.call('recordEntry', anEntry(NOW)),
      halfDone(),
      writer.call('recordEntry', anEntry(NOW)),
    );
    expect(answers).toMatchObject([
      { value: { index: size } },
      { failed: expect.stringContaining('settle') as string },
      { value: { index: size + 1 } },
    ]);
    expect(writer.context.ledger.charged(scope)).toEqual(charged);
    const settled = settleArgs(requestId, NOW, { tokens: 1, spendNanoUsd: 1 });
    expect(writer.commit(writer.call('settle', settled)).answers).toMatchObject([{ value: {} }]);
  });

  test('publishes a change of policy in its batch once', () => {
    const { epoch } = writer.context;
    const revoke = writer.call('revokeGrant', {
      by: by(world.admin, NOW),
      grantId: world.grant.id,
    });
    const committed = writer.commit(revoke, halfDone());
    expect(committed.changes.filter(({ kind }) => kind === 'grant')).toHaveLength(1);
    expect(committed.epoch).toBe(writer.context.epoch);
    expect(committed.epoch - epoch).toBe(committed.changes.length);
    expect(grantState()).toBe('revoked');
  });

  test('publishes nothing of a call whose time ran out before it was run again', () => {
    const { epoch } = writer.context;
    const append = writer.context.appendWritten.bind(writer.context);
    writer.context.appendWritten = (entry) => {
      const index = append(entry);
      // As slow as a disk can be.
      if (entry.kind === 'request.outcome') writer.now = NOW + 10;
      return index;
    };
    const revoke = writer.call(
      'revokeGrant',
      { by: by(world.admin, NOW), grantId: world.grant.id },
      NOW + 5,
    );
    const committed = writer.commit(revoke, halfDone());
    expect(committed.answers[0]).toMatchObject({ refused: { code: 'log_unavailable' } });
    expect(committed).toMatchObject({ changes: [], epoch });
    expect(grantState()).toBe('active');
  });
});

test('an outcome that outgrows an entry is recorded without what makes it long', () => {
  const orders = Array.from({ length: 2_200 }, () => mintId('ord', NOW));
  const settlement = settleArgs(requestId, NOW, { tokens: 7, spendNanoUsd: 1 });
  const reason = 'grant_suspended' as const;
  const { answers } = writer.commit(writer.call('settle', { ...settlement, reason, orders }));
  expect(answers).toMatchObject([{ value: {} }]);
  const outcome = writer.entries().at(-1);
  expect(outcome).toMatchObject({
    kind: 'request.outcome',
    reason: 'grant_suspended',
    data: { end: 'completed', charged: { tokens: 7 } },
  });
  expect(outcome).not.toHaveProperty('orders');
});

test('sums too great to be counted stay over every cap, and stop nothing', async () => {
  for (let i = 0; i < 12; i += 1) {
    const args = reserveArgs(world, { epoch: writer.context.epoch, at: NOW });
    await writer.write('reserve', args);
    const used = { tokens: 1_000_000_000, spendNanoUsd: 1e18 };
    await writer.write('settle', settleArgs(args.facts.requestId, NOW, used));
  }
  const budgets = { spendUsd: 5_000_000 };
  const next = reserveArgs(world, { epoch: writer.context.epoch, at: NOW, budgets });
  await expect(writer.write('reserve', next)).rejects.toMatchObject({
    refusal: { code: 'quota_exhausted' },
  });
});
