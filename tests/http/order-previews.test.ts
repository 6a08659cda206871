/** Preview equals effect: on random populations, exactly those previewed are stopped. */
import * as fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createPerson } from '../../src/broker/manage-people.ts';
import { RefusedError } from '../../src/core/denials.ts';
import type { Grant } from '../../src/core/grants.ts';
import { Api } from '../support/api.ts';
import { makeActiveGrant } from '../support/grants.ts';
import { admitForTest } from '../support/live-request.ts';
import {
  makeKey,
  makePeople,
  makePerson,
  type People,
  type TestPerson,
} from '../support/people.ts';
import { stepGrant } from '../../src/broker/manage-grants.ts';
import { startTestBroker, type TestBroker } from '../support/test-broker.ts';

let test: TestBroker;
let people: People;
let api: Api;
let second: TestPerson;
let colleagues: TestPerson[];
let grants: Grant[];

const STATUSES = ['cleared', 'restricted', undefined] as const;

beforeAll(async () => {
  test = await startTestBroker();
  people = await makePeople(test);
  api = new Api(test);
  const { admin, host, partner } = people;
  second = await makePerson(test.broker, admin.id, host.id, 'Sue Safety', ['safety']);
  colleagues = await Promise.all(
    STATUSES.map(async (status, i) => {
      const key = makeKey();
      const person = await createPerson(test.broker, admin.id, partner.id, {
        name: `Colleague ${i}`,
        roles: ['researcher'],
        attributes: status === undefined ? {} : { export_status: status },
        publicKey: key.publicKey,
      });
      return { ...person, ...key, kid: '' };
    }),
  );
  grants = [];
  for (const models of [['model-a-1'], ['model-b-1'], ['model-a-1', 'model-b-1']]) {
    const grant = await makeActiveGrant(test, people, {
      endpoints: [{ endpoint: 'demo', models }],
      people: [people.lead, ...colleagues].map(({ id }) => ({ person: id })),
    });
    const { termsDigest } = grant;
    let latest = grant;
    for (const { id } of colleagues)
      latest = await stepGrant(test.broker, id, grant.id, 'accept', { termsDigest });
    grants.push(latest);
  }
});
afterAll(() => test.close());

it('exactly those previewed are stopped', async () => {
  const part = fc.record(
    {
      lab: fc.constant(people.partner.id),
      grant: fc.constantFrom(...grants.map(({ id }) => id)),
      model: fc.constantFrom('model-a-1', 'model-b-1', 'model-x-1'),
      endpoint: fc.constantFrom('demo', 'other'),
      person: fc.constantFrom(...colleagues.map(({ id }) => id)),
      purpose: fc.constantFrom('scheming' as const, 'hallucination' as const),
      attributes: fc.constantFrom(
        [{ name: 'export_status', is: ['restricted'] }],
        [{ name: 'export_status', is: ['restricted'], unknown: 'spared' as const }],
        [{ name: 'export_status', is: ['cleared', 'restricted'] }],
      ),
    },
    { requiredKeys: [] },
  );
  const selectors = fc.oneof(
    { weight: 2, arbitrary: fc.constant({ all: true as const }) },
    { weight: 9, arbitrary: part.filter((parts) => Object.keys(parts).length > 0) },
  );
  let stopped = 0;
  await fc.assert(
    fc.asyncProperty(selectors, fc.subarray(colleagues), async (selector, working) => {
      const live = await Promise.all(
        working.flatMap((person) => grants.map((grant) => admitForTest(test, grant, person))),
      );
      const order = { level: 4, selector, grounds: 'A test' };
      const preview = await api.post(people.safety, '/orders/preview', { order });
      expect([preview.status, preview.body.code]).toEqual([200, undefined]);
      const { stops, stays } = preview.body as {
        stops: {
          live: { requestId: string }[];
          people: { personId: string; grantId: string; keepsPart: boolean }[];
          grants: string[];
        };
        stays: { live: number };
      };
      const issued = await api.post(people.safety, '/orders?confirmed=true', order);
      const foreseen = stops.live.map(({ requestId }) => requestId).sort();
      expect(issued.body.cut.map((one: { requestId: string }) => one.requestId).sort()).toEqual(
        foreseen,
      );
      const cut = live.filter(({ cancellation }) => cancellation.isCancelled);
      expect(cut.map(({ id }) => id).sort()).toEqual(foreseen);
      expect(stays.live).toBe(live.length - cut.length);
      stopped += cut.length;
      // Who is to lose all of their access does, and nobody else: the helper asks for scheming with the first model.
      const gone = new Set(
        stops.people.filter((one) => !one.keepsPart).map((one) => `${one.personId} ${one.grantId}`),
      );
      const touched = new Set(stops.people.map((one) => `${one.personId} ${one.grantId}`));
      const wrong: string[] = [];
      for (const person of colleagues)
        for (const grant of grants) {
          const passes = await admits(grant, person);
          const who = `${person.id} ${grant.id}`;
          if (gone.has(who) && passes) wrong.push(`${who} is to be stopped and passes`);
          if (!touched.has(who) && !passes) wrong.push(`${who} is to stay and is stopped`);
          if (stops.grants.includes(grant.id) && !gone.has(who)) wrong.push(`${who} is left out`);
        }
      expect(wrong).toEqual([]);
      await Promise.all(live.map((one) => one.end()));
      const lifted = await api.post(second, `/orders/${issued.body.id}/lift`, { grounds: 'Done' });
      expect(lifted.status).toBe(200);
    }),
    { numRuns: 40 },
  );
  expect(stopped).toBeGreaterThan(3);
});

async function admits(grant: Grant, person: TestPerson): Promise<boolean> {
  try {
    await (await admitForTest(test, grant, person)).end();
    return true;
  } catch (error) {
    if (error instanceof RefusedError) return false;
    throw error;
  }
}

it("a partner's officer sees their own lab's people alone; a researcher previews nothing", async () => {
  const { otherPartner, admin, researcher } = people;
  const theirs = await makePerson(test.broker, admin.id, otherPartner.id, 'Otto Safety', [
    'safety',
  ]);
  const order = { level: 4, selector: { all: true }, grounds: 'A test' };
  const own = await api.post(theirs, '/orders/preview', { order });
  expect(own.body.stops).toEqual({
    grants: [],
    labs: [],
    people: [],
    tokens: [],
    runs: [],
    live: [],
  });
  const none = await api.post(researcher, '/orders/preview', { order });
  expect([none.status, none.body.code]).toEqual([403, 'role_required']);
});
