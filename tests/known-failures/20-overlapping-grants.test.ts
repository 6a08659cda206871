/** Known failure 20: of two grants that overlap, the end of one kills the other. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Api } from '../support/api.ts';
import { makeActiveGrant } from '../support/grants.ts';
import { admitForTest } from '../support/live-request.ts';
import { getToken, makePeople, type People } from '../support/people.ts';
import { SetClock } from '../support/set-clock.ts';
import { startTestBroker, type TestBroker } from '../support/test-broker.ts';

const clock = new SetClock();
let test: TestBroker;
let people: People;
let api: Api;

beforeAll(async () => {
  test = await startTestBroker({ clock: clock.read });
  people = await makePeople(test);
  api = new Api(test);
});
afterAll(() => test.close());

const HOUR = 3_600_000;
const window = (hours: number) => ({
  from: new Date(clock.now - HOUR).toISOString(),
  until: new Date(clock.now + hours * HOUR).toISOString(),
});

describe('two grants for the same person, model and time', () => {
  it.each<[string, (id: string) => Promise<unknown>]>([
    ['revoked', (id) => api.post(people.safety, `/grants/${id}/revoke`, { grounds: 'Over' })],
    ['closed', (id) => api.post(people.lead, `/grants/${id}/close`)],
    [
      'narrowed to other people',
      async (id) => {
        const { spec } = (await api.get(people.admin, `/grants/${id}`)).body as { spec: object };
        const left = { ...spec, people: [{ person: people.lead.id }] };
        await api.call(people.admin, 'put', `/grants/${id}`, left);
      },
    ],
    [
      'over by its window',
      () => {
        clock.now += 2 * HOUR;
        test.broker.live.decideAgain();
        return Promise.resolve();
      },
    ],
  ])('one that is %s ends alone', async (_how, end) => {
    const first = await makeActiveGrant(test, people, { window: window(1) });
    const second = await makeActiveGrant(test, people, { window: window(9) });
    const { researcher } = people;
    const [ends, stays] = [
      await admitForTest(test, first, researcher),
      await admitForTest(test, second, researcher),
    ];
    const before = (await api.get(people.admin, `/grants/${second.id}`)).body as object;
    await end(first.id);
    expect(ends.cancellation.isCancelled).toBe(true);
    expect(stays.cancellation.isCancelled).toBe(false);
    const again = new Api(test);
    expect((await again.get(people.admin, `/grants/${second.id}`)).body).toEqual(before);
    await getToken(test, researcher, { grant: second.id, purpose: 'scheming', run: 'one' });
    await expect(
      getToken(test, researcher, { grant: first.id, purpose: 'scheming', run: 'one' }),
    ).rejects.toThrow(/grant_revoked|grant_closed|grant_expired|person_not_on_grant/);
    await Promise.all([ends.end(), stays.end()]);
  });
});
