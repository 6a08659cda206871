/** The roster of a grant: what is shown, what is counted and what is enforced are one. */
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { stepGrant } from '../../src/broker/manage-grants.ts';
import type { Grant } from '../../src/core/grants.ts';
import { Api } from '../support/api.ts';
import { grantInput } from '../support/grants.ts';
import { asPerson, invite, join } from '../support/invitations.ts';
import { getToken, makeKey, makePeople, type People } from '../support/people.ts';
import { startTestBroker, type TestBroker } from '../support/test-broker.ts';

const HOUR = 3_600_000;

let test: TestBroker;
let people: People;
let api: Api;
let ahead = 0;

beforeAll(async () => {
  test = await startTestBroker({ clock: () => Date.now() + ahead });
  people = await makePeople(test);
});
afterAll(() => test.close());
beforeEach(() => {
  ahead = 0;
  api = new Api(test);
});

const rosterOf = async ({ id }: Grant): Promise<unknown> =>
  (await api.get(people.lead, `/grants/${id}`)).body.roster;

it('holds somebody who joined and is then named once, until the earlier end', async () => {
  const { lead, admin, safety } = people;
  const { broker } = test;
  const spec = grantInput(people, { people: [{ person: lead.id }], maxPeople: 2 });
  const draft = (await api.post(lead, '/grants', spec)).body as Grant;
  const rosterUntil = new Date(Date.now() + 2 * HOUR).toISOString();
  const invited = await invite(api, lead, {
    lab: people.partner.id,
    name: 'Jo Joiner',
    roles: ['researcher'],
    grant: draft.id,
    expiresInHours: 1,
    rosterUntil,
  });
  const key = makeKey();
  const joiner = await asPerson(await join(test, invited, key), key);
  const named = { ...spec, people: [...spec.people, { person: joiner.id }] };
  const amended = await api.call(lead, 'put', `/grants/${draft.id}`, named);
  expect(amended.status).toBe(200);
  const expected = [
    { personId: lead.id, until: null, removed: false, lacking: [] },
    { personId: joiner.id, until: rosterUntil, removed: false, lacking: [] },
  ];
  expect(amended.body.roster).toEqual(expected);

  await stepGrant(broker, lead.id, draft.id, 'submit', {});
  await stepGrant(broker, admin.id, draft.id, 'approve', {});
  await stepGrant(broker, safety.id, draft.id, 'approve', {});
  const { termsDigest } = draft;
  await stepGrant(broker, lead.id, draft.id, 'accept', { termsDigest });
  await stepGrant(broker, joiner.id, draft.id, 'accept', { termsDigest });
  const access = { grant: draft.id, purpose: 'scheming', run: 'first' } as const;
  expect(await getToken(test, joiner, access)).toMatch(/^eyJ/);

  ahead = 3 * HOUR;
  api = new Api(test);
  expect(await rosterOf(draft)).toEqual(expected);
  await expect(getToken(test, joiner, access)).rejects.toThrow('has ended');
  // The place is free, and somebody else can have it.
  await invite(api, lead, {
    lab: people.partner.id,
    name: 'Ne Next',
    roles: ['researcher'],
    grant: draft.id,
  });
});

it('shows whoever was removed as removed', async () => {
  const { lead, secondResearcher } = people;
  const spec = grantInput(people, {
    people: [{ person: lead.id }, { person: secondResearcher.id }],
  });
  const draft = (await api.post(lead, '/grants', spec)).body as Grant;
  await api.post(lead, `/people/${secondResearcher.id}/remove`);
  expect(await rosterOf(draft)).toEqual([
    { personId: lead.id, until: null, removed: false, lacking: [] },
    { personId: secondResearcher.id, until: null, removed: true, lacking: [] },
  ]);
});
