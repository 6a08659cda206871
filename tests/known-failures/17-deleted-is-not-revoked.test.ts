/**
 * Known failure 17: who is deleted keeps the tokens they have; and access that was taken away comes back when a lock that
 * happened to lie over it lapses.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runAgenda } from '../../src/broker/run-agenda.ts';
import { Api } from '../support/api.ts';
import { makeActiveGrant } from '../support/grants.ts';
import { makePeople, makePerson, type People, type TestPerson } from '../support/people.ts';
import {
  HELLO,
  codeOf,
  drain,
  errorOf,
  startRunningBroker,
  type RunningBroker,
} from '../support/running-broker.ts';
import { hold } from '../support/scripted-upstream.ts';
import { admitForTest } from '../support/live-request.ts';
import { SetClock } from '../support/set-clock.ts';
import { startTestBroker, type TestBroker } from '../support/test-broker.ts';

describe('what is deleted', () => {
  let running: RunningBroker;
  beforeAll(async () => {
    running = await startRunningBroker();
  });
  afterAll(() => running.close());

  it.each<[string, (person: TestPerson) => [string, string]]>([
    ['a person', ({ id }) => ['post', `/people/${id}/remove`]],
    ['a key', ({ id, kid }) => ['delete', `/people/${id}/keys/${kid}`]],
  ])('%s: their token and their stream end with the answer', async (_what, request) => {
    const person = await running.newResearcher();
    const access = await running.access({}, person);
    const upstream = hold();
    const asked = running.onceAsked(upstream);
    const stream = await access.openai.chat.completions.create({ ...HELLO, stream: true });
    const ended = errorOf(drain(stream));
    await asked;
    const [method, path] = request(person);
    const answer = await running.api.call(running.people.admin, method as 'post', path);
    expect(answer.status).toBe(200);
    expect(codeOf(await ended)).toBe('token_revoked');
    upstream.release();
    const later = await errorOf(access.openai.chat.completions.create(HELLO));
    expect(later.status).toBe(401);
  });
});

describe('when an order lapses', () => {
  const clock = new SetClock();
  const DAY = 24 * 3_600_000;
  let test: TestBroker;
  let people: People;
  let api: Api;
  beforeAll(async () => {
    test = await startTestBroker({ clock: clock.read });
    people = await makePeople(test);
    api = new Api(test);
  });
  afterAll(() => test.close());

  it.each<[string, string, (grant: string, person: TestPerson) => Promise<{ status: number }>]>([
    [
      'the grant was revoked',
      'grant_revoked',
      (grant) => api.post(people.admin, `/grants/${grant}/revoke`, { grounds: 'Over' }),
    ],
    [
      'the person was removed',
      'person_removed',
      (_grant, { id }) => api.post(people.admin, `/people/${id}/remove`),
    ],
    [
      'the person was taken off the roster',
      'person_not_on_grant',
      (grant, { id }) => api.call(people.lead, 'delete', `/grants/${grant}/people/${id}`),
    ],
    [
      'the person handed their place back',
      'access_handed_back',
      (grant, person) => api.post(person, `/people/${person.id}/hand-back`, { grant }),
    ],
  ])('what was taken away while it lay over it stays away: %s', async (how, code, takeAway) => {
    api = new Api(test);
    const { partner, lead } = people;
    const person = await makePerson(test.broker, lead.id, partner.id, `Held, ${how}`, [
      'researcher',
    ]);
    const grant = await makeActiveGrant(test, people, {
      people: [{ person: lead.id }, { person: person.id }],
      window: {
        from: new Date(clock.now - DAY).toISOString(),
        until: new Date(clock.now + 30 * DAY).toISOString(),
      },
    });
    await api.post(person, `/grants/${grant.id}/accept`, { termsDigest: grant.termsDigest });
    await (await admitForTest(test, grant, person)).end();
    const order = await api.post(people.safety, '/orders', {
      level: 3,
      selector: { person: person.id, grant: grant.id },
      grounds: 'A finding',
    });
    expect(order.status).toBe(201);
    expect((await takeAway(grant.id, person)).status).toBe(200);
    clock.now += 4 * DAY;
    await runAgenda(test.broker);
    api = new Api(test);
    const lapsed = await api.get(people.safety, `/orders/${order.body.id}`);
    expect(lapsed.body).toMatchObject({ inForce: false, ended: { because: 'lapsed' } });
    await expect(admitForTest(test, grant, person)).rejects.toMatchObject({ refusal: { code } });
  });
});
