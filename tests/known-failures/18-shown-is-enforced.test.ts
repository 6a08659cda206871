/** Known failure 18: the status that is shown is not the one that is enforced; "revoked" is said, and it was refused. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { runAgenda } from '../../src/broker/run-agenda.ts';
import { Api } from '../support/api.ts';
import { makeActiveGrant } from '../support/grants.ts';
import { admitForTest } from '../support/live-request.ts';
import { makePeople, type People } from '../support/people.ts';
import { SetClock } from '../support/set-clock.ts';
import { startTestBroker, type TestBroker } from '../support/test-broker.ts';

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

const moveTo = (now: number): void => {
  clock.now = now;
  api = new Api(test);
};

/** Each: what is done to a grant, in turn, and what it is shown as then. */
const SCENES: [string, [string, (id: string) => unknown][]][] = [
  [
    'revoked',
    [['revoked', (id) => api.post(people.safety, `/grants/${id}/revoke`, { grounds: 'Over' })]],
  ],
  ['closed', [['closed', (id) => api.post(people.lead, `/grants/${id}/close`)]]],
  [
    'suspended by an order that is lifted',
    [
      [
        'suspended',
        (id) =>
          api.post(people.safety, '/orders', { selector: { grant: id }, grounds: 'A finding' }),
      ],
      [
        'active',
        async () => {
          const [order] = (await api.get(people.admin, '/orders?inForce=true')).body.items;
          return api.post(people.admin, `/orders/${order.id}/lift`, { grounds: 'Over' });
        },
      ],
    ],
  ],
  [
    'suspended by an order that lapses',
    [
      [
        'suspended',
        (id) =>
          api.post(people.safety, '/orders', { selector: { grant: id }, grounds: 'A finding' }),
      ],
      // By the clock alone: nothing has put it on record yet.
      ['active', () => moveTo(clock.now + DAY)],
    ],
  ],
  [
    'suspended by a review that is missed, and reviewed',
    [
      ['suspended', () => moveTo(clock.now + 2 * DAY)],
      ['active', (id) => api.post(people.admin, `/grants/${id}/review`, { grounds: 'Read' })],
    ],
  ],
  ['expired', [['expired', () => moveTo(clock.now + 9 * DAY)]]],
  [
    'expired, with a clock that is set back after that was put on record',
    [
      [
        'expired',
        async () => {
          moveTo(clock.now + 9 * DAY);
          await runAgenda(test.broker);
          moveTo(clock.now - 8 * DAY);
        },
      ],
    ],
  ],
];

it.each(SCENES)('a grant that is %s is what it is shown to be', async (_how, steps) => {
  const grant = await makeActiveGrant(test, people, {
    review: { every: '48h' },
    window: {
      from: new Date(clock.now - DAY).toISOString(),
      until: new Date(clock.now + 8 * DAY).toISOString(),
    },
  });
  for (const [status, step] of [['active', () => undefined] as const, ...steps]) {
    await step(grant.id);
    const { body } = await api.get(people.lead, `/grants/${grant.id}`);
    expect(body.status).toBe(status);
    const { items } = (await api.get(people.admin, '/grants?limit=200')).body;
    expect(items).toContainEqual(expect.objectContaining({ id: grant.id, status }));
    const enforced = await admitForTest(test, grant, people.researcher).then(
      async (live) => {
        await live.end();
        return null;
      },
      (error: { refusal: { code: string } }) => error.refusal.code,
    );
    expect(enforced).toBe(body.statusReason?.code ?? null);
    expect(enforced === null).toBe(status === 'active');
  }
});

it('where nothing was revoked, nothing is said to be', async () => {
  const grant = await makeActiveGrant(test, people, {
    window: {
      from: new Date(clock.now - DAY).toISOString(),
      until: new Date(clock.now + 8 * DAY).toISOString(),
    },
  });
  const live = await admitForTest(test, grant, people.researcher);
  const tried = await api.post(people.otherLead, '/tokens/revoke', { grant: grant.id });
  expect(tried.body).toMatchObject({ ended: 0 });
  expect(live.cancellation.isCancelled).toBe(false);
  await live.end();
});
