import { beforeEach, describe, expect, test } from 'vitest';
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
    const request = issue(world.researcher, writer.context.epoch);
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

  test('ends with the person', async () => {
    await writer.write('issueToken', issue(world.researcher, writer.context.epoch));
    expect(writer.count('tokens')).toBe(1);
    const { changes } = writer.commit(
      writer.call('removePerson', { by: by(world.lead, NOW), personId: world.researcher }),
    );
    expect(changes).toContainEqual({
      kind: 'token',
      value: expect.objectContaining({ personId: world.researcher, revokedAt: NOW }) as unknown,
    });
  });
});
