/** The roster in the hands of the lead, inside its cap. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Api } from '../support/api.ts';
import { makeActiveGrant } from '../support/grants.ts';
import { admitForTest } from '../support/live-request.ts';
import { makePeople, type People } from '../support/people.ts';
import { startTestBroker, type TestBroker } from '../support/test-broker.ts';

let test: TestBroker;
let people: People;
let api: Api;

beforeAll(async () => {
  test = await startTestBroker();
  people = await makePeople(test);
  api = new Api(test);
});
afterAll(() => test.close());

const add = (by: keyof People, grant: { id: string }, person: string, more: object = {}) =>
  api.post(people[by] as never, `/grants/${grant.id}/people`, { person, ...more });
const takeOff = (by: keyof People, grant: { id: string }, person: string) =>
  api.call(people[by] as never, 'delete', `/grants/${grant.id}/people/${person}`);
const onRoster = (body: { roster: { personId: string }[] }): string[] =>
  body.roster.map(({ personId }) => personId);

describe('the lead', () => {
  it('puts people of the lab on the roster up to its cap, who then accept the terms', async () => {
    const grant = await makeActiveGrant(test, people, { maxPeople: 3 });
    const { secondResearcher, partnerAuditor } = people;
    const added = await add('lead', grant, secondResearcher.id);
    expect(added.status).toBe(200);
    expect(onRoster(added.body)).toContain(secondResearcher.id);
    expect(added.body.places).toEqual({ taken: 3, invited: 0 });
    const digest = { termsDigest: grant.termsDigest };
    expect((await api.post(secondResearcher, `/grants/${grant.id}/accept`, digest)).status).toBe(
      200,
    );
    await (await admitForTest(test, grant, secondResearcher)).end();
    const full = await add('lead', grant, partnerAuditor.id);
    expect([full.status, full.body.code]).toEqual([409, 'roster_full']);
    const twice = await add('lead', grant, secondResearcher.id);
    expect([twice.status, twice.body.code]).toEqual([409, 'already_exists']);
  });

  it('takes somebody off, which cuts what they are doing, and puts them back as they were', async () => {
    // No cap: the text names whom it names, and the lead can still take one of them off and put them back.
    const grant = await makeActiveGrant(test, people);
    const { researcher } = people;
    const live = await admitForTest(test, grant, researcher);
    const off = await takeOff('lead', grant, researcher.id);
    expect(live.cancellation.isCancelled).toBe(true);
    await live.end();
    expect([onRoster(off.body), off.body.takenOff]).toEqual([[people.lead.id], [researcher.id]]);
    await expect(admitForTest(test, grant, researcher)).rejects.toMatchObject({
      refusal: { code: 'person_not_on_grant' },
    });
    const back = await add('lead', grant, researcher.id);
    expect([back.status, back.body.takenOff]).toEqual([200, []]);
    await (await admitForTest(test, grant, researcher)).end();
  });

  it('can fill the place that somebody leaves, and not bring back more than it holds', async () => {
    const grant = await makeActiveGrant(test, people, { maxPeople: 2 });
    const { researcher, secondResearcher } = people;
    await takeOff('lead', grant, researcher.id);
    expect((await add('lead', grant, secondResearcher.id)).status).toBe(200);
    expect((await add('lead', grant, researcher.id)).body.code).toBe('roster_full');
    await takeOff('lead', grant, secondResearcher.id);
    expect((await add('lead', grant, researcher.id)).status).toBe(200);
  });

  it.each<[string, () => Promise<{ status: number; body: { code: string } }>, number, string]>([
    [
      'whom the text does not name, without a cap',
      async () => add('lead', await makeActiveGrant(test, people), people.secondResearcher.id),
      409,
      'roster_full',
    ],
    [
      'of another lab',
      async () =>
        add(
          'lead',
          await makeActiveGrant(test, people, { maxPeople: 9 }),
          people.otherResearcher.id,
        ),
      404,
      'not_found',
    ],
    [
      'on the grant of another lab',
      async () =>
        add(
          'otherLead',
          await makeActiveGrant(test, people, { maxPeople: 9 }),
          people.otherLead.id,
        ),
      404,
      'not_found',
    ],
    [
      'as a researcher',
      async () =>
        add('researcher', await makeActiveGrant(test, people), people.secondResearcher.id),
      403,
      'role_required',
    ],
    [
      'until a moment that is past',
      async () =>
        add(
          'lead',
          await makeActiveGrant(test, people, { maxPeople: 9 }),
          people.secondResearcher.id,
          {
            until: '2020-01-01T00:00:00Z',
          },
        ),
      400,
      'invalid_request',
    ],
    [
      'who handed the place back',
      async () => {
        const grant = await makeActiveGrant(test, people, { maxPeople: 9 });
        await api.post(people.researcher, `/people/${people.researcher.id}/hand-back`, {
          grant: grant.id,
        });
        return add('lead', grant, people.researcher.id);
      },
      403,
      'access_handed_back',
    ],
    [
      'on a grant that is over',
      async () => {
        const grant = await makeActiveGrant(test, people, { maxPeople: 9 });
        await api.post(people.admin, `/grants/${grant.id}/revoke`, { grounds: 'Over' });
        return add('lead', grant, people.secondResearcher.id);
      },
      403,
      'grant_revoked',
    ],
  ])('cannot add somebody %s', async (_who, attempt, status, code) => {
    const answer = await attempt();
    expect([answer.status, answer.body.code]).toEqual([status, code]);
  });
});
