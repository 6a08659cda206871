/** What is held of people and changes: their roles, and attributes that grants require and orders are about. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runAgenda } from '../../src/broker/run-agenda.ts';
import { Api } from '../support/api.ts';
import { grantInput, makeActiveGrant } from '../support/grants.ts';
import { admitForTest } from '../support/live-request.ts';
import { makeKey, makePeople, makePerson, type People } from '../support/people.ts';
import { entriesSince } from '../support/refusals.ts';
import { SetClock } from '../support/set-clock.ts';
import { startTestBroker, type TestBroker } from '../support/test-broker.ts';

const clock = new SetClock();
const HOUR = 3_600_000;
const DAY = 24 * HOUR;
let test: TestBroker;
let people: People;
let api: Api;

beforeAll(async () => {
  test = await startTestBroker({ clock: clock.read });
  people = await makePeople(test);
  api = new Api(test);
});
afterAll(() => test.close());

/** Tokens of the control API live no longer than a quarter of an hour: new ones are got after it. */
function moveTo(now: number): void {
  clock.now = now;
  api = new Api(test);
}

const at = (ms: number): string => new Date(ms).toISOString();
const set = (by: keyof People, of: keyof People, attributes: object) =>
  api.post(people[by] as never, `/people/${(people[of] as { id: string }).id}/attributes`, {
    attributes,
  });

describe('attributes', () => {
  it('are set, replaced and taken away one by one, on record', async () => {
    const from = test.broker.readers.logSize();
    const until = at(clock.now + DAY);
    await set('lead', 'researcher', {
      training: { value: '2026-10', until },
      team: { value: 'A' },
    });
    const one = await set('lead', 'researcher', { team: null, employer: { value: 'Partner' } });
    expect(one.body).toMatchObject({
      attributes: { training: '2026-10', employer: 'Partner' },
      attributesUntil: { training: until },
    });
    expect(one.body.attributes).not.toHaveProperty('team');
    const kinds = entriesSince(test, from).filter(({ kind }) => kind === 'person.attributes_set');
    expect(kinds).toHaveLength(2);
    expect(kinds[1]).toMatchObject({
      person: people.researcher.id,
      data: { attributes: one.body.attributes, until: { training: until } },
    });
    await set('lead', 'researcher', { training: null, employer: null });
  });

  it('show who gave each the value that it has, and when', async () => {
    const { lead, otherLead, admin } = people;
    const sources = async (id: string): Promise<unknown> =>
      (await api.get(admin, `/people/${id}`)).body.attributesSet as unknown;
    const body = {
      name: 'Known from the start',
      lab: otherLead.labId,
      roles: ['researcher'],
      attributes: { team: 'A' },
      publicKey: makeKey().publicKey,
    };
    const made = await api.post(admin, '/people', body);
    expect(made.body.attributesSet).toEqual({ team: { by: admin.id, at: made.body.createdAt } });

    const { id } = people.researcher;
    const first = at(clock.now);
    await set('lead', 'researcher', { training: { value: '1' }, employer: { value: 'Partner' } });
    moveTo(clock.now + HOUR);
    const later = at(clock.now);
    await set('admin', 'researcher', { training: { value: '1' } });
    expect(await sources(id)).toEqual({
      training: { by: admin.id, at: later },
      employer: { by: lead.id, at: first },
    });
    const ends = { employer: { value: 'Partner', until: at(clock.now + HOUR) } };
    await set('lead', 'researcher', ends);
    moveTo(clock.now + HOUR);
    await runAgenda(test.broker);
    expect(await sources(id)).toEqual({ training: { by: admin.id, at: later } });
    await set('lead', 'researcher', { training: null });
    expect(await sources(id)).toEqual({});
  });

  it.each<[string, keyof People, keyof People, object, number, string]>([
    ['by a researcher', 'researcher', 'researcher', { a: { value: 'b' } }, 403, 'role_required'],
    ['of another lab', 'otherLead', 'researcher', { a: { value: 'b' } }, 404, 'not_found'],
    ['none', 'lead', 'researcher', {}, 400, 'invalid_request'],
    ['with a bad name', 'lead', 'researcher', { '1 x': null }, 400, 'invalid_request'],
    [
      'with an end that is past',
      'lead',
      'researcher',
      { a: { value: 'b', until: '2020-01-01T00:00:00Z' } },
      400,
      'invalid_request',
    ],
    [
      'too many',
      'lead',
      'researcher',
      Object.fromEntries(Array.from({ length: 33 }, (_, i) => [`a${i}`, { value: '' }])),
      400,
      'invalid_request',
    ],
  ])('%s: refused, and nothing is changed', async (_what, by, of, attributes, status, code) => {
    const before = await api.get(people.lead, `/people/${people.researcher.id}`);
    const answer = await set(by, of, attributes);
    expect([answer.status, answer.body.code]).toEqual([status, code]);
    expect((await api.get(people.lead, `/people/${people.researcher.id}`)).body).toEqual(
      before.body,
    );
  });

  it('that an order of the host is about are not changed by the lab, which would be to lift it', async () => {
    await makeActiveGrant(test, people);
    await set('lead', 'researcher', { region: { value: 'north' } });
    const order = await api.post(people.safety, '/orders', {
      level: 3,
      selector: { attributes: [{ name: 'region', is: ['north'] }], lab: people.partner.id },
      grounds: 'A finding in the north',
    });
    expect(order.status).toBe(201);
    // Whom it is about is told in person.
    const told = await api.get(people.researcher, `/notices?ref=${order.body.id}`);
    expect(told.body.items).toMatchObject([{ kind: 'order.issued' }]);
    const tried = await set('lead', 'researcher', { region: { value: 'south' } });
    expect([tried.status, tried.body.code]).toEqual([403, 'attribute_under_order']);
    // Nor of somebody who is registered for it.
    const guest = { lab: people.partner.id, name: 'New Name', roles: ['researcher'] };
    const renamed = { ...guest, attributes: { region: 'south' } };
    const { publicKey } = makeKey();
    for (const [path, body] of [
      ['/people', { ...renamed, publicKey }],
      ['/invitations', renamed],
    ] as const)
      expect((await api.post(people.lead, path, body)).body.code).toBe('attribute_under_order');
    // Whoever issued it may not lift it, and so not talk anybody out of it.
    const issuer = await makePerson(test.broker, people.admin.id, people.host.id, 'Two Hats', [
      'admin',
      'safety',
    ]);
    const own = await api.post(issuer, '/orders', {
      level: 3,
      selector: { attributes: [{ name: 'team', is: ['A'] }] },
      grounds: 'A finding',
    });
    expect(own.status).toBe(201);
    const mine = { attributes: { team: { value: 'B' } } };
    const path = `/people/${people.researcher.id}/attributes`;
    expect((await api.post(issuer, path, mine)).body.code).toBe('attribute_under_order');
    await api.post(people.admin, `/orders/${own.body.id}/lift`, { grounds: 'Over' });
    await api.post(people.admin, `/people/${issuer.id}/remove`);
    expect((await set('lead', 'researcher', { other: { value: 'x' } })).status).toBe(200);
    expect((await set('admin', 'researcher', { region: { value: 'south' } })).status).toBe(200);
    await api.post(people.admin, `/orders/${order.body.id}/lift`, { grounds: 'Over' });
    expect((await set('lead', 'researcher', { region: null, other: null })).status).toBe(200);
  });
});

describe('what a grant requires', () => {
  const requires = [{ name: 'export_status', is: ['US', 'UK'] }, { name: 'training' }];

  it('is asked of each person, at every request, by a code of its own', async () => {
    const grant = await makeActiveGrant(test, people, { requires });
    const refused = admitForTest(test, grant, people.researcher);
    await expect(refused).rejects.toMatchObject({
      refusal: {
        code: 'attribute_required',
        message: expect.stringContaining('export_status') as string,
      },
    });
    const lacking = async () =>
      (await api.get(people.lead, `/grants/${grant.id}`)).body.roster.find(
        ({ personId }: { personId: string }) => personId === people.researcher.id,
      ).lacking as string[];
    expect(await lacking()).toEqual(['export_status', 'training']);
    await set('lead', 'researcher', { export_status: { value: 'FR' }, training: { value: 'yes' } });
    expect(await lacking()).toEqual(['export_status']);
    await set('lead', 'researcher', { export_status: { value: 'UK' } });
    expect(await lacking()).toEqual([]);
    const live = await admitForTest(test, grant, people.researcher);
    // Taken away, it cuts what is running before the answer is there.
    await set('lead', 'researcher', { training: null });
    expect(live.cancellation.isCancelled).toBe(true);
    await live.end();
  });

  it('can end: what is running is cut then, and the agenda puts it on record', async () => {
    const grant = await makeActiveGrant(test, people, {
      requires: [{ name: 'training' }],
      window: { from: at(clock.now - HOUR), until: at(clock.now + 30 * DAY) },
    });
    const end = clock.now + 10 * DAY;
    await set('lead', 'researcher', { training: { value: 'yes', until: at(end) } });
    const live = await admitForTest(test, grant, people.researcher);
    moveTo(end - 1);
    test.broker.live.decideAgain();
    expect(live.cancellation.isCancelled).toBe(false);
    const from = test.broker.readers.logSize();
    moveTo(end);
    test.broker.live.decideAgain();
    expect(live.cancellation.isCancelled).toBe(true);
    await live.end();
    await expect(admitForTest(test, grant, people.researcher)).rejects.toMatchObject({
      refusal: { code: 'attribute_required' },
    });
    await runAgenda(test.broker);
    await test.broker.store.caughtUp();
    expect(entriesSince(test, from)).toContainEqual(
      expect.objectContaining({
        kind: 'person.attributes_ended',
        actor: { system: 'broker' },
        data: expect.objectContaining({ ended: ['training'] }) as object,
      }),
    );
    const person = await api.get(people.lead, `/people/${people.researcher.id}`);
    expect(person.body.attributes).not.toHaveProperty('training');
    const notices = await api.get(people.lead, `/notices?ref=${people.researcher.id}`);
    expect(notices.body.items.map(({ kind }: { kind: string }) => kind)).toContain(
      'person.attribute_ended',
    );
  });

  it('that has just ended is taken out, whatever is set of the person in that second', async () => {
    const end = clock.now + HOUR;
    await set('lead', 'secondResearcher', { badge: { value: 'x', until: at(end) } });
    moveTo(end + 1);
    await set('lead', 'secondResearcher', { desk: { value: '1' } });
    await runAgenda(test.broker);
    const { body } = await api.get(people.lead, `/people/${people.secondResearcher.id}`);
    expect(body.attributes).not.toHaveProperty('badge');
  });

  it('an order of another partner, or about another lab, is nothing to a lab', async () => {
    const about = (more: object) => ({
      selector: { attributes: [{ name: 'site', is: ['x'] }], ...more },
      grounds: 'Elsewhere',
    });
    const notice = await api.post(people.otherResearcher, '/orders', { level: 0, ...about({}) });
    const theirs = await api.post(people.safety, '/orders', {
      level: 3,
      ...about({ lab: people.otherPartner.id }),
    });
    expect([notice.status, theirs.status]).toEqual([201, 201]);
    expect((await set('lead', 'researcher', { site: { value: 'y' } })).status).toBe(200);
    await set('lead', 'researcher', { site: null });
    await api.post(people.admin, `/orders/${theirs.body.id}/lift`, { grounds: 'Over' });
  });

  it('is said before: 7 days and 1 day by the default rules', async () => {
    await set('lead', 'secondResearcher', {
      clearance: { value: 'A', until: at(clock.now + 8 * DAY) },
    });
    const reminders = async (): Promise<number> => {
      await runAgenda(test.broker);
      const path = `/notices?ref=${people.secondResearcher.id}&kind=person.attribute_ending`;
      return (await api.get(people.secondResearcher, path)).body.items.length as number;
    };
    expect(await reminders()).toBe(0);
    moveTo(clock.now + DAY + 1);
    expect(await reminders()).toBe(1);
    moveTo(clock.now + 6 * DAY);
    expect(await reminders()).toBe(2);
  });
});

describe('roles', () => {
  it('are set by somebody else, and count at once', async () => {
    const person = await makePerson(test.broker, people.lead.id, people.partner.id, 'Role Player', [
      'researcher',
    ]);
    const mine = await api.post(people.lead, `/people/${people.lead.id}/roles`, {
      roles: ['lead'],
    });
    expect([mine.status, mine.body.code]).toEqual([403, 'own_roles']);
    const path = `/people/${person.id}/roles`;
    const made = await api.post(people.lead, path, { roles: ['lead', 'safety'] });
    expect([made.status, made.body.roles]).toEqual([200, ['lead', 'safety']]);
    expect((await api.post(person, '/grants', {})).body.code).toBe('invalid_request');
    await api.post(people.lead, path, { roles: ['researcher'] });
    expect((await api.post(person, path, { roles: ['lead'] })).body.code).toBe('role_required');
    const wrong = await api.post(people.lead, path, { roles: ['executive'] });
    expect([wrong.status, wrong.body.errors?.[0]?.path ?? wrong.body.param]).toEqual([
      400,
      'roles',
    ]);
  });

  it('leave the host an admin, whoever is removed', async () => {
    const second = `/people/${people.secondAdmin.id}`;
    expect((await api.post(people.admin, `${second}/roles`, { roles: ['safety'] })).status).toBe(
      200,
    );
    const removed = await api.post(people.safety, `/people/${people.admin.id}/remove`);
    expect([removed.status, removed.body.code]).toEqual([409, 'last_admin']);
    expect((await api.post(people.admin, `${second}/roles`, { roles: ['admin'] })).status).toBe(
      200,
    );
  });

  it('that an approver has lost do not count for a text under review', async () => {
    const { admin, secondAdmin, safety, lead } = people;
    const drafted = await api.post(lead, '/grants', {
      ...grantInput(people, {
        window: { from: at(clock.now - HOUR), until: at(clock.now + DAY) },
      }),
      title: 'Under review',
    });
    const path = `/grants/${drafted.body.id}`;
    await api.post(lead, `${path}/submit`);
    await api.post(secondAdmin, `${path}/approve`);
    await api.post(admin, `/people/${secondAdmin.id}/roles`, { roles: ['safety'] });
    const last = await api.post(safety, `${path}/approve`);
    expect(last.body.state).toBe('submitted');
    expect(last.body.approvals.map(({ as }: { as: string }) => as)).toEqual(['safety']);
    expect((await api.post(admin, `${path}/approve`)).body.state).toBe('approved');
    await api.post(admin, `/people/${secondAdmin.id}/roles`, { roles: ['admin'] });
  });
});
