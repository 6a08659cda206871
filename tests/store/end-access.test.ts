/** Ending tokens, runs and access in one commit with what races them. */
import { beforeEach, describe, expect, test } from 'vitest';
import { mintId } from '../../src/lib/ids.ts';
import { readGrant } from '../../src/store/records.ts';
import type { ArgsOf } from '../../src/store/operations/index.ts';
import {
  LocalWriter,
  by,
  makeDataDirectory,
  makeWorld,
  reserveArgs,
  settleArgs,
  type World,
} from '../support/store.ts';

const NOW = 1_750_000_000_000;
const HOUR = 3_600_000;

let writer: LocalWriter;
let world: World;

beforeEach(async () => {
  writer = new LocalWriter(makeDataDirectory(), NOW);
  world = await makeWorld(writer.write, NOW);
});

const kidOf = (personId: string): string =>
  writer.context.db.$client
    .prepare('SELECT kid FROM person_keys WHERE person_id = ?')
    .pluck()
    .get(personId) as string;

/** What a request for a token under the world's grant comes to, decided at the epoch that is now. */
function issue(personId: string, run = 'shared', expiresAt = NOW + HOUR): ArgsOf<'issueToken'> {
  const kid = kidOf(personId);
  return {
    epoch: writer.context.epoch,
    entryId: mintId('ent', NOW),
    actor: { person: personId, lab: world.partner, roles: ['researcher'] },
    used: {
      assertions: [
        { by: 'person', kid, issuer: personId, jti: mintId('req', NOW), expiresAt: NOW + 60_000 },
      ],
      proof: undefined,
    },
    token: {
      id: mintId('tok', NOW),
      personId,
      labId: world.partner,
      kid,
      vouchedBy: 'person',
      jkt: null,
      signingKid: 'k',
      issuedAt: NOW,
      expiresAt,
    },
    access: {
      grantId: world.grant.id,
      grantVersion: 1,
      purpose: 'hallucination',
      run: { id: mintId('run', NOW), name: run },
      narrowing: null,
    },
  };
}

async function issued(personId: string, run?: string, expiresAt?: number) {
  const args = issue(personId, run, expiresAt);
  const result = await writer.write('issueToken', args);
  if (result.kind !== 'issued') throw new Error(`The token was not issued: ${result.kind}`);
  return { id: args.token.id, runId: result.runId ?? '' };
}

const revokedAt = (tokenId: string): number | null =>
  writer.context.db.$client
    .prepare('SELECT revoked_at FROM tokens WHERE id = ?')
    .pluck()
    .get(tokenId) as number | null;

const kinds = (): string[] => writer.entries().map(({ kind }) => kind);

/** A request that began with a token, and is running until it is settled. */
async function begun(tokenId: string): Promise<string> {
  const { facts, ...rest } = reserveArgs(world, { epoch: writer.context.epoch, at: NOW });
  const reserved = await writer.write('reserve', { ...rest, facts: { ...facts, tokenId } });
  expect(reserved).toMatchObject({ stale: false });
  return facts.requestId;
}

/** Rows that a statement of this connection inserted, changed or deleted, ever. */
const rowsTouched = (): number =>
  writer.context.db.$client.prepare('SELECT total_changes()').pluck().get() as number;

const revokedTokens = (): string[] =>
  writer.context.db.$client
    .prepare('SELECT id FROM tokens WHERE revoked_at IS NOT NULL')
    .pluck()
    .all() as string[];

describe('a selection of tokens', () => {
  const end = (selection: ArgsOf<'revokeTokens'>['selection'], at: number) =>
    writer.write('revokeTokens', { by: by(world.safety, at), selection });

  test('ends the live ones, and expired ones that a running request began with', async () => {
    const live = await issued(world.researcher);
    const running = await issued(world.researcher, 'old', NOW + 1_000);
    const over = await issued(world.researcher, 'old', NOW + 1_000);
    const settled = await issued(world.researcher, 'old', NOW + 1_000);
    const ofSomebodyElse = await issued(world.secondResearcher, 'old', NOW + 1_000);
    await begun(running.id);
    await begun(ofSomebodyElse.id);
    await writer.write('settle', settleArgs(await begun(settled.id), NOW, 'not_forwarded'));
    const result = await end({ person: world.researcher }, NOW + 2_000);
    expect(result).toEqual({ ended: 1, tokenIds: [live.id, running.id] });
    expect([live, running].map(({ id }) => revokedAt(id))).toEqual([NOW + 2_000, NOW + 2_000]);
    expect([over, settled, ofSomebodyElse].map(({ id }) => revokedAt(id))).toEqual([
      null,
      null,
      null,
    ]);
    expect(writer.entries().at(-1)).toMatchObject({
      kind: 'tokens.revoked',
      ref: world.researcher,
      person: world.researcher,
      grant: world.grant.id,
      data: { reach: 'all', tokensEnded: 1 },
    });
  });

  test.each([
    ['its last millisecond', HOUR - 1, 1],
    ['the moment in which it expires', HOUR, 0],
  ])('finds a token of the longest life in %s', async (_when, after, ended) => {
    const { runId } = await issued(world.researcher);
    expect(await end({ run: runId }, NOW + after)).toMatchObject({ ended });
    expect(revokedTokens()).toHaveLength(ended);
  });

  test('finds the token of a running request, however long ago it expired', async () => {
    const { id, runId } = await issued(world.researcher);
    await begun(id);
    expect(await end({ run: runId }, NOW + 25 * HOUR)).toEqual({ ended: 0, tokenIds: [id] });
    expect(writer.entries().at(-1)).toMatchObject({ kind: 'tokens.revoked', ref: runId });
    // What has ended does not end again.
    expect(await end({ run: runId }, NOW + 25 * HOUR)).toEqual({ ended: 0, tokenIds: [] });
    expect(revokedAt(id)).toBe(NOW + 25 * HOUR);
  });

  test('passes over whatever has expired, without touching it', async () => {
    const insert = writer.context.db.$client.prepare(
      `INSERT INTO tokens (id, audience, person_id, lab_id, kid, issued_at, expires_at, signing_kid)
       VALUES (?, 'control', ?, ?, 'k', ?, ?, 'k')`,
    );
    const add = (count: number, issuedAt: number, life: number): string[] =>
      Array.from({ length: count }, () => {
        const id = mintId('tok', issuedAt);
        insert.run(id, world.researcher, world.partner, issuedAt, issuedAt + life);
        return id;
      });
    let live: string[] = [];
    writer.context.db.$client.transaction(() => {
      // Some a day ago, and some within the longest life of a token.
      add(30_000, NOW - 24 * HOUR, HOUR);
      add(30_000, NOW - HOUR / 2, HOUR / 4);
      live = add(100, NOW - HOUR / 2, HOUR);
    })();
    const before = rowsTouched();
    const entries = writer.count('entries');
    const result = await end({ person: world.researcher }, NOW);
    expect(result.ended).toBe(100);
    expect(new Set(result.tokenIds)).toEqual(new Set(live));
    expect(new Set(revokedTokens())).toEqual(new Set(live));
    // Beside the tokens, its entry.
    expect(writer.count('entries')).toBe(entries + 1);
    expect(rowsTouched() - before).toBe(101);
  });

  test('is one change of policy, which moves the epoch once', async () => {
    const ids: string[] = [];
    for (let i = 0; i < 20; i += 1) ids.push((await issued(world.researcher)).id);
    const before = writer.context.epoch;
    const { changes, epoch } = writer.commit(
      writer.call('revokeTokens', {
        by: by(world.safety, NOW),
        selection: { person: world.researcher },
      }),
    );
    // In the order of the database.
    expect(changes).toEqual([{ kind: 'tokens_ended', ids: ids.toSorted(), at: NOW }]);
    expect(epoch).toBe(before + 1);
  });

  test('that holds nothing to end changes nothing, and leaves no entry', async () => {
    const { runId } = await issued(world.researcher, 'old', NOW + 1_000);
    const entries = writer.count('entries');
    const { epoch } = writer.context;
    expect(await end({ run: runId }, NOW + 1_000)).toEqual({ ended: 0, tokenIds: [] });
    expect([writer.count('entries'), writer.context.epoch]).toEqual([entries, epoch]);
  });

  test('is never empty, not even for a caller that skipped the edge', async () => {
    const { id } = await issued(world.researcher);
    const { answers } = writer.commit(
      writer.call('revokeTokens', { by: by(world.admin, NOW), selection: { token: undefined } }),
    );
    expect(answers[0]).toMatchObject({ refused: { code: 'invalid_request' } });
    expect(revokedAt(id)).toBeNull();
    expect(writer.entries().at(-1)).toMatchObject({
      kind: 'action.denied',
      data: { action: 'token.revoke' },
    });
  });
});

describe('a run that ends', () => {
  test('takes no token that was decided just before', async () => {
    const { runId } = await issued(world.researcher);
    const late = issue(world.secondResearcher);
    const { answers, epoch } = writer.commit(
      writer.call('endRun', { by: by(world.researcher, NOW), runId }),
      writer.call('issueToken', late),
      writer.call('issueToken', { ...late, epoch: writer.context.epoch + 1 }),
    );
    expect(answers[0]).toMatchObject({ value: { endedAt: NOW, ended: 1 } });
    expect(answers[1]).toMatchObject({ value: { kind: 'stale' } });
    expect(answers[2]).toMatchObject({ value: { kind: 'run_ended' } });
    expect(epoch).toBe(writer.context.epoch);
    expect(writer.count('tokens')).toBe(1);
  });

  test('ends the token that came just before it', async () => {
    const { runId } = await issued(world.researcher);
    const before = issue(world.secondResearcher);
    writer.commit(
      writer.call('issueToken', before),
      writer.call('endRun', { by: by(world.researcher, NOW), runId }),
    );
    expect(revokedAt(before.token.id)).toBe(NOW);
  });

  test('ends once', async () => {
    const { runId } = await issued(world.researcher);
    const end = (at: number) => writer.call('endRun', { by: by(world.lead, at), runId });
    const { answers } = writer.commit(end(NOW), end(NOW + 5));
    expect(answers[1]).toMatchObject({ value: { endedAt: NOW, ended: 0, tokenIds: [] } });
    expect(kinds().filter((kind) => kind === 'run.ended')).toHaveLength(1);
  });
});

describe('access that is handed back', () => {
  test('moves the epoch, even where no token is left to end', () => {
    const request = issue(world.researcher);
    const { answers, changes } = writer.commit(
      writer.call('handBackAccess', {
        by: by(world.researcher, NOW),
        personId: world.researcher,
        grantId: world.grant.id,
      }),
      writer.call('issueToken', request),
    );
    expect(answers).toMatchObject([
      { value: { grants: [world.grant.id], ended: 0, tokenIds: [] } },
      { value: { kind: 'stale' } },
    ]);
    expect(changes).toMatchObject([{ kind: 'grant', value: { leavers: [world.researcher] } }]);
    expect(writer.count('tokens')).toBe(0);
  });

  test('ends the tokens of the control API last', async () => {
    const { access: _none, ...control } = issue(world.researcher);
    await writer.write('issueToken', control);
    const gateway = await issued(world.researcher);
    const { changes, answers } = writer.commit(
      writer.call('handBackAccess', {
        by: by(world.researcher, NOW),
        personId: world.researcher,
      }),
    );
    expect(answers[0]).toMatchObject({
      value: { ended: 2, tokenIds: [gateway.id, control.token.id] },
    });
    expect(changes).toMatchObject([
      { kind: 'grant', value: { leavers: [world.researcher] } },
      { kind: 'tokens_ended', ids: [gateway.id], at: NOW },
      { kind: 'tokens_ended', ids: [control.token.id], at: NOW },
    ]);
  });

  test('passes over grants that are over, by their state or by their window', async () => {
    const later = by(world.lead, NOW + 25 * HOUR);
    writer.now = later.at;
    const result = await writer.write('handBackAccess', { by: later, personId: world.researcher });
    expect(result).toEqual({ grants: [], ended: 0, tokenIds: [] });
    await writer.write('closeGrant', { by: by(world.lead, NOW), grantId: world.grant.id });
    expect(
      await writer.write('handBackAccess', {
        by: by(world.lead, NOW),
        personId: world.researcher,
      }),
    ).toMatchObject({ grants: [] });
    expect(kinds()).not.toContain('access.handed_back');
    expect(readGrant(writer.context.db, world.grant.id)?.leavers).toEqual([]);
  });

  test('is refused with an entry, and undone whole', () => {
    const grantId = mintId('grt', NOW);
    const { answers } = writer.commit(
      writer.call('handBackAccess', {
        by: by(world.researcher, NOW),
        personId: world.researcher,
        grantId,
      }),
    );
    expect(answers[0]).toMatchObject({ refused: { code: 'not_found' } });
    expect(writer.entries().at(-1)).toMatchObject({
      kind: 'action.denied',
      ref: world.researcher,
      reason: 'not_found',
    });
    expect(writer.count('grant_leavers')).toBe(0);
  });
});
