/** What an order that seems to do one thing does not do: it is said, or asked about, or it does it. */
import { decodeJwt } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runAgenda } from '../../src/broker/run-agenda.ts';
import type { Grant } from '../../src/core/grants.ts';
import { Api } from '../support/api.ts';
import { makeActiveGrant } from '../support/grants.ts';
import { admitForTest } from '../support/live-request.ts';
import {
  getToken,
  makePeople,
  makePerson,
  type People,
  type TestPerson,
} from '../support/people.ts';
import { SetClock } from '../support/set-clock.ts';
import { startTestBroker, type TestBroker } from '../support/test-broker.ts';

const clock = new SetClock();
let test: TestBroker;
let people: People;
let second: TestPerson;
let api: Api;

beforeAll(async () => {
  test = await startTestBroker({ clock: clock.read });
  people = await makePeople(test);
  second = await makePerson(test.broker, people.admin.id, people.host.id, 'Sue Safety', ['safety']);
  api = new Api(test);
});
afterAll(() => test.close());

interface Issued {
  id: string;
  warning: string | null;
  cut: { requestId: string }[];
  code?: string;
}

const issue = async (order: object, query = '?confirmed=true'): Promise<Issued> => {
  const answer = await api.post(people.safety, `/orders${query}`, { grounds: 'Look', ...order });
  return answer.body as Issued;
};

const lift = (id: string) => api.post(second, `/orders/${id}/lift`, { grounds: 'Done' });

describe('what matches nothing', () => {
  it('is in force, and says so, whichever part it is', async () => {
    const grant = await makeActiveGrant(test, people);
    const { jti } = decodeJwt(await api.tokenOf(people.researcher));
    const spared = { name: 'employer', is: ['nobody'], unknown: 'spared' };
    const selectors: object[] = [
      { run: 'run_00000000000000000000000000' },
      { attributes: [spared] },
      { purpose: 'bias' },
      { lab: people.otherPartner.id, grant: grant.id },
      { person: people.admin.id },
      { lab: people.otherPartner.id },
      { feature: 'audio' },
      { token: jti },
    ];
    for (const selector of selectors) {
      const { id, warning } = await issue({ level: 4, selector });
      expect([selector, warning]).toEqual([
        selector,
        expect.stringContaining('nothing here matches'),
      ]);
      await lift(id);
    }
    const { id, warning } = await issue({
      level: 3,
      selector: { grant: grant.id, purpose: 'scheming' },
    });
    expect(warning).toBeNull();
    await lift(id);
  });
});

describe('what does less than it seems to', () => {
  it.each([
    [
      'limits where there are none',
      { measures: { limitsPercent: 50 } },
      'no limits that could be scaled',
    ],
    [
      'a network and tokens',
      { level: 1, selector: { network: '192.0.2.0/24' } },
      'an order about a network shortens none',
    ],
    [
      'a safeguard that nothing puts back',
      { measures: { putBack: ['filter'] } },
      'Nothing is configured',
    ],
    [
      'an attribute of which nothing is known',
      { level: 3, selector: { attributes: [{ name: 'exprt_status', is: ['x'] }] } },
      'Of nobody here it is known what "exprt_status" is',
    ],
  ])('%s: says so', async (_, order, words) => {
    const grant = await makeActiveGrant(test, people);
    const { id, warning } = await issue({ level: 2, selector: { grant: grant.id }, ...order });
    expect(warning).toContain(words);
    await lift(id);
  });
});

describe('what stops everybody', () => {
  it.each([
    [
      'an attribute that is misspelt',
      { level: 3, selector: { attributes: [{ name: 'exprt', is: ['x'] }] } },
    ],
    ['every address', { level: 3, selector: { network: '0.0.0.0/0' } }],
    [
      'a safeguard that nothing puts back',
      { level: 2, selector: { all: true }, measures: { putBack: ['filter'] } },
    ],
    [
      'every purpose',
      {
        level: 2,
        selector: { all: true },
        measures: { purposes: ['hallucination', 'sycophancy', 'scheming'] },
      },
    ],
  ])('%s: is previewed as that, and asked about', async (_, order) => {
    await makeActiveGrant(test, people);
    const preview = await api.post(people.safety, '/orders/preview', {
      order: { grounds: 'x', ...order },
    });
    expect(preview.body).toMatchObject({ stopsEverything: true });
    expect(await issue(order, '')).toMatchObject({ code: 'confirmation_needed' });
    const { id } = await issue(order);
    await lift(id);
  });

  it('is not asked about while somebody keeps something', async () => {
    await makeActiveGrant(test, people);
    const { id } = await issue({ level: 3, selector: { purpose: 'scheming' } }, '');
    expect(id).toMatch(/^ord_/);
    await lift(id);
  });
});

describe('orders that stop a grant between them', () => {
  it('each tell what they cut, and a request is told of the one that stops it', async () => {
    const grant = await makeActiveGrant(test, people);
    const live = await admitForTest(test, onlyB(grant), people.researcher);
    const first = await issue({ level: 3, selector: { grant: grant.id, model: 'model-a-1' } });
    expect(first.cut).toEqual([]);
    const then = await issue({ level: 3, selector: { grant: grant.id, model: 'model-b-1' } });
    expect(then.cut).toMatchObject([{ requestId: live.id }]);
    await expect(admitForTest(test, onlyB(grant), people.researcher)).rejects.toMatchObject({
      refusal: { orders: [then.id] },
    });
    const shown = await api.get(people.lead, `/grants/${grant.id}`);
    expect(shown.body).toMatchObject({ status: 'suspended' });
    await live.end();
    await Promise.all([lift(first.id), lift(then.id)]);
  });
});

describe('an order about a run', () => {
  const ask = (grant: string) =>
    getToken(test, people.researcher, { grant, purpose: 'scheming', run: 'night' });

  it('lets no more tokens be issued for it, and a watch on it shortens them', async () => {
    const grant = await makeActiveGrant(test, people);
    const { run, exp, iat } = claimsOf(await ask(grant.id));
    expect(exp - iat).toBeGreaterThan(60);
    const watch = await issue({ level: 1, selector: { run }, measures: { tokenSeconds: 60 } });
    const watched = claimsOf(await ask(grant.id));
    expect(watched.exp - watched.iat).toBeLessThanOrEqual(60);
    const stop = await issue({ level: 3, selector: { run } });
    await expect(ask(grant.id)).rejects.toThrow('run_suspended');
    await Promise.all([lift(watch.id), lift(stop.id)]);
  });
});

describe('an attribute that ends while an order holds somebody by it', () => {
  it('does not end for them what nobody has lifted', async () => {
    const grant = await makeActiveGrant(test, people);
    const until = new Date(clock.now + 60_000).toISOString();
    const set = await api.post(people.admin, `/people/${people.researcher.id}/attributes`, {
      attributes: { export_status: { value: 'restricted', until } },
    });
    expect(set.status).toBe(200);
    const attribute = { name: 'export_status', is: ['restricted'], unknown: 'spared' };
    const { id } = await issue({ level: 3, selector: { attributes: [attribute] } });
    clock.now += 120_000;
    await runAgenda(test.broker);
    await expect(admitForTest(test, grant, people.researcher)).rejects.toMatchObject({
      refusal: { orders: [id] },
    });
    await lift(id);
    clock.now += 120_000;
    await runAgenda(test.broker);
    const person = await api.get(people.admin, `/people/${people.researcher.id}`);
    expect(person.body.attributes).toEqual({});
  });
});

describe('whoever is changed by another lab', () => {
  it('is told, and so is their lab', async () => {
    await api.post(people.admin, `/people/${people.researcher.id}/attributes`, {
      attributes: { employer: { value: 'Partner Lab' } },
    });
    const kinds = async (who: TestPerson): Promise<string[]> => {
      const { body } = await api.get(who, `/notices?ref=${people.researcher.id}&limit=200`);
      return (body as { items: { kind: string }[] }).items.map(({ kind }) => kind);
    };
    expect(await kinds(people.lead)).toContain('person.attributes_changed');
    expect(await kinds(people.researcher)).toContain('person.attributes_changed');
    expect(await kinds(people.otherLead)).toEqual([]);
  });
});

/** As a request for the second model admits it. */
function onlyB(grant: Grant): Grant {
  const endpoints = [{ endpoint: 'demo', models: ['model-b-1'] }];
  return { ...grant, spec: { ...grant.spec, endpoints } };
}

function claimsOf(token: string): { exp: number; iat: number; run: string | undefined } {
  const { exp = 0, iat = 0, run } = decodeJwt<{ run?: string }>(token);
  return { exp, iat, run };
}
