/** What is overdue reaches the people whose it is, in person; and one item that fails holds up no other. */
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { issueOrder, objectToOrder, ratifyOrder } from '../../src/broker/issue-order.ts';
import { runAgenda } from '../../src/broker/run-agenda.ts';
import { orderSpecSchema } from '../../src/core/orders/order.ts';
import { createLogger } from '../../src/lib/log.ts';
import { DATABASE_FILE } from '../../src/store/database.ts';
import { Api } from '../support/api.ts';
import { makeActiveGrant } from '../support/grants.ts';
import { makePeople, makePerson, type People, type TestPerson } from '../support/people.ts';
import { startTestBroker, type TestBroker } from '../support/test-broker.ts';

let ahead = 0;
let logged = '';
let test: TestBroker;
let people: People;
let second: TestPerson;
let executive: TestPerson;
let gone: TestPerson;

const DAY = 86_400_000;

beforeAll(async () => {
  test = await startTestBroker({
    clock: () => Date.now() + ahead,
    metrics: { port: 0 },
    log: createLogger({ level: 'warn' }, { write: (line) => (logged += line) }),
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
  await objectToOrder({ grounds: 'No', alternative: null }, test.broker, people.lead.id, order);
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

it('what fails is put off by itself, shows, and is tried again; what is behind it is done', async () => {
  const order = await issue();
  // Of a newer version, say: this one does not know it.
  const database = new Database(join(test.dataDir, DATABASE_FILE));
  database.prepare("INSERT INTO agenda (at, kind, ref) VALUES (1, 'unheard_of', 'x')").run();
  const attempts = (): number =>
    database.prepare("SELECT attempts FROM agenda WHERE ref = 'x'").pluck().get() as number;
  ahead = 4 * DAY;
  await runAgenda(test.broker);
  expect(test.broker.policy.orders.map(({ id }) => id)).not.toContain(order);
  expect(attempts()).toBe(1);
  const metrics = await fetch(`${test.metricsUrl ?? ''}/metrics`).then((answer) => answer.text());
  expect(metrics).toContain('sallyport_due_failing 1');
  expect(logged).toMatch(/"kind":"unheard_of","ref":"x",.*"attempts":1/);
  // Not at once; within 5 s at most, the first time.
  await runAgenda(test.broker);
  expect(attempts()).toBe(1);
  ahead += 6_000;
  await runAgenda(test.broker);
  expect(attempts()).toBeGreaterThanOrEqual(2);
  database.prepare("DELETE FROM agenda WHERE ref = 'x'").run();
  database.close();
  ahead = 0;
});
