/** Reviews of grants: one that is missed suspends the grant by itself. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runAgenda } from '../../src/broker/run-agenda.ts';
import { Api } from '../support/api.ts';
import { makeActiveGrant } from '../support/grants.ts';
import { admitForTest } from '../support/live-request.ts';
import { makePeople, type People } from '../support/people.ts';
import { entriesSince } from '../support/refusals.ts';
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

/** Tokens of the control API live no longer than a quarter of an hour: new ones are got after it. */
function moveTo(now: number): void {
  clock.now = now;
  api = new Api(test);
}

const at = (ms: number): string => new Date(ms).toISOString();
const reviewed = (every: string | null) =>
  makeActiveGrant(test, people, {
    review: every === null ? null : { every },
    window: { from: at(clock.now - DAY), until: at(clock.now + 300 * DAY) },
  });
const noticesOf = async (id: string, kind: string): Promise<number> =>
  (await api.get(people.admin, `/notices?ref=${id}&kind=${kind}`)).body.items.length as number;

describe('a grant that is to be reviewed', () => {
  it('is reminded of, suspended when the review is missed, and stands again once it is reviewed', async () => {
    const grant = await reviewed('30d');
    const due = clock.now + 30 * DAY;
    const show = async () => (await api.get(people.admin, `/grants/${grant.id}`)).body;
    expect(await show()).toMatchObject({ status: 'active', reviewDueAt: at(due) });
    const live = await admitForTest(test, grant, people.researcher);

    moveTo(due - 7 * DAY);
    await runAgenda(test.broker);
    expect(await noticesOf(grant.id, 'grant.review_due')).toBe(1);
    moveTo(due - DAY);
    await runAgenda(test.broker);
    expect(await noticesOf(grant.id, 'grant.review_due')).toBe(2);

    moveTo(due - 1);
    test.broker.live.decideAgain();
    expect(live.cancellation.isCancelled).toBe(false);
    moveTo(due);
    test.broker.live.decideAgain();
    expect(live.cancellation.isCancelled).toBe(true);
    await live.end();
    await expect(admitForTest(test, grant, people.researcher)).rejects.toMatchObject({
      refusal: { code: 'review_missed' },
    });
    expect(await show()).toMatchObject({
      status: 'suspended',
      statusReason: { code: 'review_missed' },
    });

    const from = test.broker.readers.logSize();
    await runAgenda(test.broker);
    await runAgenda(test.broker);
    const missed = entriesSince(test, from).filter(
      ({ kind, ref }) => kind === 'grant.review_missed' && ref === grant.id,
    );
    expect(missed).toHaveLength(1);
    expect(await noticesOf(grant.id, 'grant.review_missed')).toBeGreaterThan(0);

    const refused = await api.post(people.lead, `/grants/${grant.id}/review`, { grounds: 'Fine' });
    expect([refused.status, refused.body.code]).toEqual([403, 'role_required']);
    const grounds = 'Use and findings were read.';
    const done = await api.post(people.safety, `/grants/${grant.id}/review`, { grounds });
    expect(done.body).toMatchObject({ status: 'active', reviewDueAt: at(clock.now + 30 * DAY) });
    await (await admitForTest(test, grant, people.researcher)).end();
  });

  it('is told of a review that was missed, whatever is done with it in that second', async () => {
    const grant = await makeActiveGrant(test, people, {
      review: { every: '30d' },
      maxPeople: 5,
      window: { from: at(clock.now - DAY), until: at(clock.now + 300 * DAY) },
    });
    moveTo(clock.now + 30 * DAY + 1);
    const { id } = people.secondResearcher;
    await api.post(people.lead, `/grants/${grant.id}/people`, { person: id });
    await runAgenda(test.broker);
    await runAgenda(test.broker);
    expect(await noticesOf(grant.id, 'grant.review_missed')).toBe(1);
  });

  it('has its review brought forward by a new text, and never put off', async () => {
    const grant = await reviewed(null);
    const amend = async (every: string) => {
      const { spec } = (await api.get(people.admin, `/grants/${grant.id}`)).body;
      const text = { ...spec, review: { every } };
      return (await api.call(people.admin, 'put', `/grants/${grant.id}`, text)).body;
    };
    const due = clock.now + 20 * DAY;
    expect(await amend('20d')).toMatchObject({ reviewDueAt: at(due) });
    moveTo(clock.now + DAY);
    expect(await amend('10d')).toMatchObject({ reviewDueAt: at(clock.now + 10 * DAY) });
    moveTo(clock.now + DAY);
    // Wider: it is proposed, and the date stays.
    expect(await amend('90d')).toMatchObject({ reviewDueAt: at(clock.now + 9 * DAY) });
  });

  it('asks for a review only where its text does, while it is in force', async () => {
    const none = await reviewed(null);
    const answer = await api.post(people.admin, `/grants/${none.id}/review`, { grounds: 'Fine' });
    expect([answer.status, answer.body.code]).toEqual([400, 'invalid_request']);
    const over = await reviewed('30d');
    await api.post(people.admin, `/grants/${over.id}/revoke`, { grounds: 'Over' });
    const late = await api.post(people.admin, `/grants/${over.id}/review`, { grounds: 'Fine' });
    expect([late.status, late.body.code]).toEqual([409, 'illegal_transition']);
  });

  it('is not changed by somebody who read an older state of it', async () => {
    const grant = await reviewed('30d');
    moveTo(clock.now + 1);
    const { revision } = (await api.get(people.admin, `/grants/${grant.id}`)).body;
    moveTo(clock.now + 1);
    await api.post(people.admin, `/grants/${grant.id}/review`, { grounds: 'First' });
    const stale = await api.call(
      people.safety,
      'post',
      `/grants/${grant.id}/review`,
      { grounds: 'Second' },
      { 'if-match': `"${revision}"` },
    );
    expect([stale.status, stale.body.code]).toEqual([412, 'stale_version']);
  });
});
