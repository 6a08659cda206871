import { beforeEach, describe, expect, test } from 'vitest';
import type { DenialCode } from '../../src/core/denials.ts';
import { mintId } from '../../src/lib/ids.ts';
import type { ArgsOf } from '../../src/store/operations/index.ts';
import { LocalWriter, by, makeDataDirectory, makeWorld, type World } from '../support/store.ts';

const NOW = 1_750_000_000_000;

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

/** What a token request comes to that was decided at the epoch that is now. */
function issue(personId: string, epoch: number): ArgsOf<'issueToken'> {
  const kid = kidOf(personId);
  return {
    epoch,
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
      signingKid: 'key',
      issuedAt: NOW,
      expiresAt: NOW + 60_000,
    },
  };
}

describe('a token', () => {
  test('is not issued on a key that was removed while it was being decided', () => {
    const request = issue(world.researcher, writer.context.epoch + 1);
    const { answers } = writer.commit(
      writer.call('removePersonKey', {
        by: by(world.lead, NOW),
        personId: world.researcher,
        kid: request.token.kid,
      }),
      writer.call('issueToken', request),
    );
    const [removed, issued] = answers;
    expect(removed).toHaveProperty('value');
    expect(issued).toMatchObject({ refused: { code: 'invalid_client' } });
    expect(writer.count('tokens')).toBe(0);
  });

  test('is not issued to a person who was removed while it was being decided', () => {
    const request = issue(world.researcher, writer.context.epoch + 1);
    const { answers } = writer.commit(
      writer.call('removePerson', { by: by(world.lead, NOW), personId: world.researcher }),
      writer.call('issueToken', request),
    );
    expect(answers[1]).toMatchObject({ refused: { code: 'invalid_client' } });
    expect(writer.count('tokens')).toBe(0);
  });

  test.each([
    [{ models: ['model-a-1'] }, '{"models":["model-a-1"]}'],
    [null, null],
  ])('that gave up %j of its grant is kept so', async (narrowing, stored) => {
    const access = {
      grantId: world.grant.id,
      grantVersion: 1,
      purpose: 'sycophancy' as const,
      run: { id: mintId('run', NOW), name: 'first' },
      narrowing,
    };
    const epoch = writer.context.epoch;
    await writer.write('issueToken', { ...issue(world.researcher, epoch), access });
    const kept = writer.context.db.$client.prepare('SELECT narrowing FROM tokens').pluck().get();
    expect(kept).toBe(stored);
  });

  test('ends with the person', async () => {
    const request = issue(world.researcher, writer.context.epoch);
    await writer.write('issueToken', request);
    const { changes } = writer.commit(
      writer.call('removePerson', { by: by(world.lead, NOW), personId: world.researcher }),
    );
    expect(changes).toContainEqual({ kind: 'tokens_ended', ids: [request.token.id], at: NOW });
  });

  test('ends by itself, once, whoever asks for that how often', async () => {
    const { token, ...request } = issue(world.researcher, writer.context.epoch);
    await writer.write('issueToken', { ...request, token });
    const { epoch } = writer.context;
    const revoke = (at: number) =>
      writer.call('revokeToken', { by: by(world.researcher, at), tokenId: token.id });
    const committed = writer.commit(revoke(NOW), revoke(NOW + 5));
    expect(committed.answers).toMatchObject([
      { value: { revokedAt: NOW } },
      { value: { revokedAt: NOW } },
    ]);
    expect(committed.changes).toEqual([{ kind: 'tokens_ended', ids: [token.id], at: NOW }]);
    expect(committed.epoch).toBe(epoch + 1);
  });
});

describe('what was used once', () => {
  const YEAR = 365 * 24 * 3_600_000;
  const UNKNOWN = /^Whether this was used before is not known any more/;

  /** One of each kind, taken until some moment. */
  type Used = ArgsOf<'consume'>['used'];
  const ofPerson = (expiresAt: number): Used => ({
    assertions: [
      {
        by: 'person',
        kid: kidOf(world.lead),
        issuer: world.lead,
        jti: mintId('req', NOW),
        expiresAt,
      },
    ],
    proof: undefined,
  });
  const proof = (expiresAt: number): Used => ({
    assertions: [],
    proof: { jkt: 'jkt', jti: mintId('req', NOW), expiresAt },
  });
  const KINDS: [string, (expiresAt: number) => Used, DenialCode][] = [
    ["a person's assertion", ofPerson, 'assertion_replayed'],
    ['a proof of possession', proof, 'invalid_dpop_proof'],
  ];

  const use = (used: Used) => writer.write('consume', { used });
  const forget = (now: number) => writer.write('forgetUsed', { now });

  test.each(KINDS)('%s is refused once it may have been forgotten', async (_name, make, code) => {
    const used = make(NOW + 1_000);
    await use(used);
    await forget(NOW + 1_001);
    for (const old of [used, make(NOW + 1_000), make(NOW)])
      await expect(use(old)).rejects.toMatchObject({
        refusal: { code, message: expect.stringMatching(UNKNOWN) as unknown },
      });
    await use(make(NOW + 1_001));
  });

  test.each(KINDS)('%s is remembered through its last moment', async (_name, make, code) => {
    const used = make(NOW + 1_000);
    await use(used);
    await forget(NOW + 1_000);
    await expect(use(used)).rejects.toMatchObject({
      refusal: { code, message: expect.stringContaining('was used before.') as unknown },
    });
    await use(make(NOW));
  });

  test.each(KINDS)(
    '%s that is new passes at once after a clock ran a year ahead',
    async (_name, make, code) => {
      const used = make(NOW + 1_000);
      await use(used);
      await forget(NOW + YEAR);
      await use(make(NOW + 1_001));
      await expect(use(used)).rejects.toMatchObject({
        refusal: { code, message: expect.stringMatching(UNKNOWN) as unknown },
      });
    },
  );

  test('stays forgotten, and nothing else with it, however often there is nothing to forget', async () => {
    await use(proof(NOW + 60_000));
    for (const now of [NOW + YEAR, NOW + 2 * YEAR, NOW]) await forget(now);
    await expect(use(proof(NOW + 60_000))).rejects.toMatchObject({
      refusal: { code: 'invalid_dpop_proof', message: expect.stringMatching(UNKNOWN) as unknown },
    });
    await use(proof(NOW + 60_001));
  });

  test('of one kind says nothing of the other', async () => {
    await use(proof(NOW + 60_000));
    await forget(NOW + YEAR);
    await use(ofPerson(NOW + 1));
    await forget(NOW + 2 * YEAR);
    await expect(use(ofPerson(NOW + 2))).resolves.toBeUndefined();
    await expect(use(proof(NOW + 60_001))).resolves.toBeUndefined();
  });
});
