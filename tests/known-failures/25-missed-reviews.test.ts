/**
 * Known failure 25: a review that was missed changes nothing. Here access suspends itself, by the clock alone: nobody has to
 * be there, nor the broker to be up at that moment. More about reviews is in tests/http/grant-reviews.test.ts.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Api } from '../support/api.ts';
import { makeActiveGrant } from '../support/grants.ts';
import { admitForTest } from '../support/live-request.ts';
import { makePeople } from '../support/people.ts';
import { SetClock } from '../support/set-clock.ts';
import { startTestBroker, type TestBroker } from '../support/test-broker.ts';

const clock = new SetClock();
const DAY = 24 * 3_600_000;
let test: TestBroker;
beforeAll(async () => {
  test = await startTestBroker({ clock: clock.read });
});
afterAll(() => test.close());

it('a grant whose review is missed gives nothing, from the moment it was due until it is reviewed', async () => {
  const people = await makePeople(test);
  const grant = await makeActiveGrant(test, people, {
    review: { every: '30d' },
    window: {
      from: new Date(clock.now - DAY).toISOString(),
      until: new Date(clock.now + 90 * DAY).toISOString(),
    },
  });
  const due = clock.now + 30 * DAY;
  clock.now = due - 1;
  await (await admitForTest(test, grant, people.researcher)).end();
  // No agenda has run, and no timer.
  clock.now = due;
  await expect(admitForTest(test, grant, people.researcher)).rejects.toMatchObject({
    refusal: { code: 'review_missed' },
  });
  const api = new Api(test);
  const review = { grounds: 'Use was read.' };
  expect((await api.post(people.admin, `/grants/${grant.id}/review`, review)).status).toBe(200);
  await (await admitForTest(test, grant, people.researcher)).end();
});
