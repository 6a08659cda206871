/** What is overdue reaches the people whose it is, in person; and one item that fails holds up no other. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { issueOrder, objectToOrder, ratifyOrder } from '../../src/broker/issue-order.ts';
import { runAgenda } from '../../src/broker/run-agenda.ts';
import { orderSpecSchema } from '../../src/core/orders/order.ts';
import { Api } from '../support/api.ts';
import { makeActiveGrant } from '../support/grants.ts';
import { makePeople, makePerson, type People, type TestPerson } from '../support/people.ts';
import { startTestBroker, type TestBroker } from '../support/test-broker.ts';

let ahead = 0;
let test: TestBroker;
let people: People;
let second: TestPerson;
let executive: TestPerson;
let gone: TestPerson;

const DAY = 86_400_000;

beforeAll(async () => {
  test = await startTestBroker({
    clock: () => Date.now() + ahead,
    authority: { disputes: { escalateTo: ['host.executive', 'partner.lead'] } },
  });
  people = await makePeople(test);
  const add = (name: string, role: 'safety' | 'executive'): Promise<TestPerson> =>
    makePerson(test.broker, people.admin.id, people.host.id, name, [role]);
  second = await add('Sue Safety', 'safety');
  executive = await add('Eva Executive', 'executive');
  gone = await add('Gus Gone', 'executive');
});
afterAll(() => test.close());

const issue = async (): Promise<string> => {
  const spec = orderSpecSchema.parse({
    level: 3,
    selector: { lab: people.partner.id, purpose: 'scheming' },
    grounds: 'Look',
  });
  return (await issueOrder(test.broker, people.safety.id, spec, true)).order.id;
};

async function noticesTo(who: TestPerson, kind: string, ref: string): Promise<unknown[]> {
  const { body } = await new Api(test).get(who, `/notices?kind=${kind}&ref=${ref}`);
  return (body as { items: { person: string | null }[] }).items.filter(
    ({ person }) => person === who.id,
  );
}

it('an objection that is overdue, to those who hold the roles that the rules name', async () => {
  await makeActiveGrant(test, people);
  const order = await issue();
  await objectToOrder(test.broker, people.lead.id, order, { grounds: 'No', alternative: null });
  ahead = 14 * DAY;
  await runAgenda(test.broker);
  const told = [executive, people.lead, people.admin, people.otherLead, gone];
  const counts = await Promise.all(
    told.map(async (who) => (await noticesTo(who, 'dispute.overdue', order)).length),
  );
  expect(counts).toEqual([1, 1, 0, 0, 1]);
  // Once, whatever falls due later.
  ahead = 20 * DAY;
  await runAgenda(test.broker);
  expect(await noticesTo(executive, 'dispute.overdue', order)).toHaveLength(1);
  ahead = 0;
});

it('a review that is overdue, to those who may review it: not to the issuer', async () => {
  const order = await issue();
  await ratifyOrder(test.broker, second.id, order);
  ahead = 15 * DAY;
  await runAgenda(test.broker);
  const told = [second, executive, people.admin, people.safety, people.researcher];
  const counts = await Promise.all(
    told.map(async (who) => (await noticesTo(who, 'order.review_overdue', order)).length),
  );
  expect(counts).toEqual([1, 1, 1, 0, 0]);
  ahead = 0;
});
