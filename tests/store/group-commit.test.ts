import * as fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { mintId } from '../../src/lib/ids.ts';
import {
  LocalWriter,
  anEntry,
  by,
  makeDataDirectory,
  makeWorld,
  newPerson,
  reserveArgs,
  type World,
} from '../support/store.ts';

const NOW = 1_750_000_000_000;

let writer: LocalWriter;
let world: World;

beforeEach(async () => {
  writer = new LocalWriter(makeDataDirectory(), NOW);
  world = await makeWorld(writer.write, NOW);
});

const order = (actor = world.safety): Parameters<typeof writer.call<'issueOrder'>>[1] => ({
  by: by(actor, NOW),
  id: mintId('ord', NOW),
  spec: {
    level: 4,
    selector: { grant: world.grant.id },
    grounds: 'A test',
    measures: {},
    authority: { kind: 'officer' },
  },
  concerned: [],
  recalled: [],
});

const reserveAt = (epoch: number): ReturnType<typeof reserveArgs> =>
  reserveArgs(world, { epoch, at: NOW });

/** A call that fails inside the database: its entry has an id that is taken. */
const broken = (): ReturnType<LocalWriter['call']> =>
  writer.call('recordEntry', anEntry(NOW, { id: writer.entries()[0]?.id as string }));

describe('an operation', () => {
  test('that is refused leaves nothing but the entry that says so', () => {
    const before = writer.count('people');
    const person = newPerson('Mallory', 'admin');
    // A lead may register people of their own lab, and there is no admin in a partner lab.
    const { answers, changes } = writer.commit(
      writer.call('createPerson', { by: by(world.lead, NOW), labId: world.partner, person }),
    );
    expect(answers).toMatchObject([{ refused: { code: 'invalid_request' } }]);
    expect(changes).toEqual([]);
    expect(writer.count('people')).toBe(before);
    expect(writer.entries().at(-1)).toMatchObject({
      kind: 'action.denied',
      actor: { person: world.lead },
      decision: 'denied',
      reason: 'invalid_request',
      data: { action: 'person.create' },
    });
  });

  test('that fails leaves nothing, and the others of its batch stand', () => {
    const { size } = writer.context;
    const { answers } = writer.commit(
      writer.call('recordEntry', anEntry(NOW)),
      broken(),
      writer.call('recordEntry', anEntry(NOW)),
    );
    expect(answers).toMatchObject([
      { value: { index: size } },
      { failed: expect.stringContaining('UNIQUE') as string },
      { value: { index: size + 1 } },
    ]);
  });

  test('whose caller has been told that it failed is not begun', () => {
    const { size } = writer.context;
    const { answers } = writer.commit(
      writer.call('recordEntry', anEntry(NOW), NOW - 1),
      writer.call('recordEntry', anEntry(NOW), NOW),
    );
    expect(answers).toMatchObject([
      { refused: { code: 'log_unavailable' } },
      { value: { index: size } },
    ]);
  });

  test('that is refused takes back what memory held of it', () => {
    const other = new LocalWriter(makeDataDirectory(), NOW);
    const admin = newPerson('No Admin', 'admin', 'lead');
    const { answers } = other.commit(
      other.call('initialise', {
        at: NOW,
        entryId: mintId('ent', NOW),
        lab: { id: mintId('lab', NOW), name: 'Ghost Lab' },
        admin,
      }),
      other.call('recordEntry', anEntry(NOW)),
    );
    expect(answers[0]).toMatchObject({ refused: { code: 'invalid_request' } });
    // The host of an entry is the lab that exists, not one that was refused.
    expect(other.entries().map(({ host }) => host)).toEqual(['']);
    expect(other.context.epoch).toBe(0);
  });

  test('that fails half-way takes back the entries that it had written', async () => {
    const { epoch } = writer.context;
    for (let i = 0; i < 2; i += 1) await writer.write('reserve', reserveAt(epoch));
    const { size } = writer.context;
    const charged = writer.context.ledger.charged({ grantId: world.grant.id, personId: '' });
    const same = mintId('ent', NOW);
    const { answers } = writer.commit(
      writer.call('recoverUnfinished', { at: NOW, entryIds: [same, same] }),
      writer.call('recordEntry', anEntry(NOW)),
    );
    expect(answers).toMatchObject([
      { failed: expect.stringContaining('UNIQUE') as string },
      { value: { index: size } },
    ]);
    expect(writer.context.ledger.charged({ grantId: world.grant.id, personId: '' })).toEqual(
      charged,
    );
  });

  test('whose entry is too large changes no policy, and is recorded as refused', () => {
    const person = { ...newPerson('Long', 'researcher'), attributes: { note: 'x'.repeat(70_000) } };
    const { epoch } = writer.context;
    const { answers, changes } = writer.commit(
      writer.call('createPerson', { by: by(world.lead, NOW), labId: world.partner, person }),
    );
    expect(answers).toMatchObject([{ refused: { code: 'invalid_request' } }]);
    expect(changes).toEqual([]);
    expect(writer.context.epoch).toBe(epoch);
    expect(writer.entries().at(-1)).toMatchObject({
      kind: 'action.denied',
      reason: 'invalid_request',
    });
  });

  test('changes policy only if it is committed', () => {
    const { changes, epoch } = writer.commit(
      writer.call('issueOrder', order(world.admin)),
      broken(),
      writer.call('issueOrder', order()),
    );
    expect(changes.map(({ kind }) => kind)).toEqual(['order']);
    expect(epoch).toBe(writer.context.epoch);
  });
});

describe('indices have no gaps', () => {
  test('whatever passes, is refused or fails, in whatever batches', () => {
    const kinds = fc.constantFrom('entry', 'denied', 'broken', 'reserve', 'refused', 'late');
    fc.assert(
      fc.property(fc.array(fc.array(kinds, { minLength: 1, maxLength: 8 })), (batches) => {
        for (const batch of batches) {
          const calls = batch.map((kind) => {
            switch (kind) {
              case 'denied':
                return writer.call('issueOrder', order(world.lead));
              case 'broken':
                return broken();
              case 'reserve':
                return writer.call('reserve', reserveAt(writer.context.epoch));
              case 'refused':
                return writer.call(
                  'reserve',
                  reserveArgs(world, {
                    epoch: writer.context.epoch,
                    at: NOW,
                    limits: { tokensPerMinute: 1 },
                  }),
                );
              case 'late':
                return writer.call('recordEntry', anEntry(NOW), NOW - 1);
              case 'entry':
                return writer.call('recordEntry', anEntry(NOW));
            }
          });
          const { size } = writer.context;
          writer.commit(...calls);
          const recorded = batch.filter((kind) => kind !== 'broken' && kind !== 'late').length;
          expect(writer.context.size).toBe(size + recorded);
        }
        const found = writer.context.db.$client
          .prepare('SELECT count(*) AS n, max(idx) AS last FROM entries')
          .get();
        expect(found).toEqual({ n: writer.context.size, last: writer.context.size - 1 });
      }),
      { numRuns: 30 },
    );
    // An entry's own index, its place in the table and its place in the log are one.
    expect(writer.entries().map(({ index }) => index)).toEqual(
      writer.entries().map((_entry, i) => i),
    );
  });
});

describe('what was decided before a change of policy', () => {
  test('does not pass after it, in the same batch', () => {
    const { epoch } = writer.context;
    const { answers } = writer.commit(
      writer.call('reserve', reserveAt(epoch)),
      writer.call('issueOrder', order()),
      writer.call('reserve', reserveAt(epoch)),
    );
    expect(answers).toMatchObject([
      { value: { stale: false } },
      { value: { id: expect.stringMatching(/^ord_/) as string } },
      { value: { stale: true } },
    ]);
    // Nothing was reserved and nothing recorded for the one that is stale.
    expect(writer.count('requests')).toBe(1);
    expect(writer.entries().at(-1)).toMatchObject({ kind: 'order.issued' });
  });

  test.each([
    [
      'a person is removed',
      () =>
        writer.call('removePerson', {
          by: by(world.admin, NOW),
          personId: world.secondResearcher,
        }),
    ],
    [
      'the grant is revoked',
      () => writer.call('revokeGrant', { by: by(world.admin, NOW), grantId: world.grant.id }),
    ],
  ])('is stale once %s', (_why, change) => {
    const { epoch } = writer.context;
    const { answers } = writer.commit(change(), writer.call('reserve', reserveAt(epoch)));
    expect(answers[1]).toMatchObject({ value: { stale: true } });
    expect(writer.count('requests')).toBe(0);
  });

  test('does pass when the change was refused', () => {
    const { epoch } = writer.context;
    const { answers } = writer.commit(
      writer.call('issueOrder', order(world.lead)),
      writer.call('reserve', reserveAt(epoch)),
    );
    expect(answers).toMatchObject([
      { refused: { code: 'role_required' } },
      { value: { stale: false } },
    ]);
  });

  test('is not made stale by a new token, which takes nothing from anyone', async () => {
    const { epoch } = writer.context;
    const kid = writer.context.db.$client
      .prepare('SELECT kid FROM person_keys WHERE person_id = ?')
      .pluck()
      .get(world.lead) as string;
    const issue = (at: number): Parameters<typeof writer.call<'issueToken'>>[1] => ({
      epoch,
      entryId: mintId('ent', at),
      actor: { person: world.lead, lab: world.partner, roles: ['lead'] },
      token: {
        id: mintId('tok', at),
        personId: world.lead,
        labId: world.partner,
        kid,
        vouchedBy: 'person',
        jkt: null,
        signingKid: 'key',
        issuedAt: at,
        expiresAt: at + 1000,
      },
      used: {
        assertions: [
          { by: 'person', kid, issuer: world.lead, jti: mintId('tok', at), expiresAt: at + 1000 },
        ],
        proof: undefined,
      },
    });
    await writer.write('issueToken', issue(NOW));
    await expect(writer.write('reserve', reserveAt(epoch))).resolves.toMatchObject({
      stale: false,
    });
    await writer.write('issueOrder', order());
    const tokens = writer.count('tokens');
    await expect(writer.write('issueToken', issue(NOW))).resolves.toEqual({ kind: 'stale' });
    expect(writer.count('tokens')).toBe(tokens);
  });
});

describe('a commit that cannot be made durable', () => {
  /** Lets the database grow no further, as on a full disk. */
  const fill = (): void => {
    const client = writer.context.db.$client;
    client.pragma(`max_page_count = ${String(client.pragma('page_count', { simple: true }))}`);
  };
  const free = (): unknown => writer.context.db.$client.pragma('max_page_count = 1073741823');

  const big = (): ReturnType<LocalWriter['call']> =>
    writer.call('recordEntry', anEntry(NOW, { data: { note: 'x'.repeat(40_000) } }));

  test('fails as a whole, changes nothing, and the next one works again', () => {
    const { size, epoch } = writer.context;
    const reserved = reserveArgs(world, {
      epoch,
      at: NOW,
      limits: { requestsPerMinute: 1 },
    });
    fill();
    const failed = writer.commit(
      writer.call('reserve', reserved),
      writer.call('issueOrder', order()),
      ...Array.from({ length: 20 }, big),
    );
    expect(failed.answers).toHaveLength(22);
    for (const answer of failed.answers)
      expect(answer).toMatchObject({ refused: { code: 'log_unavailable' } });
    expect(failed).toMatchObject({ changes: [], epoch, wrote: false });
    expect(failed.fatal).toBeUndefined();
    expect(writer.context).toMatchObject({ size, epoch });
    expect([writer.count('requests'), writer.count('charges')]).toEqual([0, 0]);
    free();
    const after = writer.commit(writer.call('reserve', reserved), big());
    // The one request that the minute has room for is still there to be used.
    expect(after.answers).toMatchObject([
      { value: { stale: false, intentIndex: size } },
      { value: { index: size + 1 } },
    ]);
  });
});
