/** What counting the places of a roster costs: everybody else waits for the one writer. */
import { expect, test, vi } from 'vitest';
import { mintId } from '../../src/lib/ids.ts';
import { aSpec, at as instant } from '../support/facts.ts';
import { LocalWriter, by, makeDataDirectory, makeWorld, newPerson } from '../support/store.ts';

const NOW = 1_750_000_000_000;
const HOUR = 3_600_000;

test('counting places and checking names takes as many statements for many people as for few', async () => {
  const writer = new LocalWriter(makeDataDirectory(), NOW);
  const { write } = writer;
  const world = await makeWorld(write, NOW);
  const ids: string[] = [];
  for (let i = 0; i < 60; i += 1) {
    const person = newPerson(`Person ${i}`, 'researcher');
    await write('createPerson', { by: by(world.admin, NOW), labId: world.partner, person });
    ids.push(person.id);
  }
  const prepare = vi.spyOn(writer.context.db.$client, 'prepare');
  const statementsOf = async (work: () => Promise<unknown>): Promise<number> => {
    prepare.mockClear();
    await work();
    return prepare.mock.calls.length;
  };
  const costs = async (size: number): Promise<number[]> => {
    const id = mintId('grt', NOW);
    const people = ids.slice(0, size).map((person) => ({ person }));
    const window = { from: instant(NOW - HOUR), until: instant(NOW + 100 * HOUR) };
    const spec = aSpec({ lab: world.partner, people, maxPeople: size + 3, window });
    const draft = { spec, termsDigest: 'd'.repeat(64) };
    const created = await statementsOf(() =>
      write('createGrant', { by: by(world.lead, NOW), id, ...draft }),
    );
    const invitation = (n: number) => ({
      id: mintId('inv', NOW),
      labId: world.partner,
      name: `${size} ${n}`,
      roles: ['researcher' as const],
      attributes: {},
      subject: null,
      grantId: id,
      rosterUntil: null,
      secretDigest: 'a'.repeat(64),
      expiresAt: NOW + HOUR,
    });
    const asked: number[] = [];
    for (let n = 0; n < 3; n += 1)
      asked.push(
        await statementsOf(() =>
          write('invitePerson', { by: by(world.lead, NOW), invitation: invitation(n) }),
        ),
      );
    const refused = await statementsOf(() =>
      expect(
        write('invitePerson', { by: by(world.lead, NOW), invitation: invitation(3) }),
      ).rejects.toThrow('places'),
    );
    return [created, asked[2] as number, refused];
  };
  const few = await costs(2);
  const many = await costs(60);
  // Two more for the other grant that the lab's open invitations are onto by then.
  many.forEach((count, i) => expect(count - (few[i] as number)).toBeLessThan(15));
});
