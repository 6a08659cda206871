/** The list of objections to orders: what waits to be decided, and since when it should have been. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { runAgenda } from '../../src/broker/run-agenda.ts';
import { Api } from '../support/api.ts';
import { makeActiveGrant } from '../support/grants.ts';
import { makePeople, type People, type TestPerson } from '../support/people.ts';
import { SetClock } from '../support/set-clock.ts';
import { startTestBroker, type TestBroker } from '../support/test-broker.ts';

const DAY = 86_400_000;
const clock = new SetClock();
let test: TestBroker;
let people: People;
/** Ids of the objections, in the order in which they are due. */
let first = '';
let second = '';
let third = '';
/** To an order that has lapsed, which is owed an answer all the same. */
let late = '';

beforeAll(async () => {
  test = await startTestBroker({
    clock: clock.read,
    authority: { disputes: { decideWithin: '7d' } },
  });
  people = await makePeople(test);
  await makeActiveGrant(test, people);
  const { lead, otherLead, partner, otherPartner } = people;
  first = await object(lead, await issue(partner.id));
  clock.now += 2 * DAY;
  second = await object(otherLead, await issue(otherPartner.id));
  clock.now += 2 * DAY;
  third = await object(lead, await issue(partner.id));
  clock.now += 3_600_000;
  late = await object(otherLead, await issue(otherPartner.id, 'leave'));
  clock.now += 4 * DAY;
  await runAgenda(test.broker);
});
afterAll(() => test.close());

/** Ratified, unless it is left to lapse. */
async function issue(lab: string, then: 'ratify' | 'leave' = 'ratify'): Promise<string> {
  const order = { level: 3, selector: { lab, purpose: 'scheming' }, grounds: 'Look' };
  const { body } = await new Api(test).post(people.safety, '/orders?confirmed=true', order);
  const { id } = body as { id: string };
  if (then === 'ratify') await new Api(test).post(people.admin, `/orders/${id}/ratify`);
  return id;
}

async function object(who: TestPerson, order: string): Promise<string> {
  const { body } = await new Api(test).post(who, `/orders/${order}/object`, { grounds: 'No' });
  return (body as { id: string }).id;
}

interface Page {
  items: { id: string; escalatedAt: string | null }[];
  next: string | null;
}

const list = async (who: TestPerson, query = ''): Promise<Page> =>
  (await new Api(test).get(who, `/disputes${query}`)).body as Page;
const ids = async (who: TestPerson, query?: string): Promise<string[]> =>
  (await list(who, query)).items.map(({ id }) => id);

it('has those that are overdue first, with since when', async () => {
  const { items, next } = await list(people.admin, '?open=true');
  expect(items.map(({ id }) => id)).toEqual([first, second, third, late]);
  expect(items.map(({ escalatedAt }) => escalatedAt !== null)).toEqual([true, false, false, false]);
  expect(next).toBeNull();
});

it('is shown to each as far as they see the orders', async () => {
  expect(await ids(people.outsideAuditor)).toEqual([first, second, third, late]);
  expect(await ids(people.researcher)).toEqual([first, third]);
  expect(await ids(people.otherLead)).toEqual([second, late]);
});

it('comes in pages', async () => {
  const pages: string[][] = [];
  let next: string | null = '';
  while (next !== null) {
    const page: Page = await list(people.auditor, `?limit=1&open=true${next && `&cursor=${next}`}`);
    pages.push(page.items.map(({ id }) => id));
    ({ next } = page);
  }
  expect(pages).toEqual([[first], [second], [third], [late]]);
  const ours = await list(people.lead, '?limit=1');
  expect(await ids(people.lead, `?limit=1&cursor=${ours.next}`)).toEqual([third]);
});

it('is of those alone that are to be decided, where one asks for them', async () => {
  const decided = await new Api(test).post(people.secondAdmin, `/disputes/${first}/decide`, {
    outcome: 'affirmed',
    grounds: 'It stands',
  });
  expect(decided.body).toMatchObject({ outcome: 'affirmed', decisionGrounds: 'It stands' });
  expect(await ids(people.admin, '?open=true')).toEqual([second, third, late]);
  expect(await ids(people.admin)).toEqual([first, second, third, late]);
});
