/** Orders: what comes of two things at one moment, of stale readings, of people who leave, of clocks that are set. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { issueOrder, liftOrder, ratifyOrder } from '../../src/broker/issue-order.ts';
import { addPersonKey, removePerson } from '../../src/broker/manage-people.ts';
import { runAgenda } from '../../src/broker/run-agenda.ts';
import { orderSpecSchema } from '../../src/core/orders/order.ts';
import { thumbprintOf } from '../../src/oauth/client-assertion.ts';
import { Api } from '../support/api.ts';
import { makeActiveGrant } from '../support/grants.ts';
import {
  makeKey,
  makePeople,
  makePerson,
  type People,
  type TestPerson,
} from '../support/people.ts';
import { startTestBroker, type TestBroker } from '../support/test-broker.ts';

let ahead = 0;
let test: TestBroker;
let people: People;
let api: Api;
let second: TestPerson;
let third: TestPerson;
let executive: TestPerson;

const HOUR = 3_600_000;

beforeAll(async () => {
  test = await startTestBroker({ clock: () => Date.now() + ahead });
  people = await makePeople(test);
  api = new Api(test);
  const add = (name: string, role: 'safety' | 'executive'): Promise<TestPerson> =>
    makePerson(test.broker, people.admin.id, people.host.id, name, [role]);
  second = await add('Sue Safety', 'safety');
  third = await add('Sid Safety', 'safety');
  executive = await add('Eva Executive', 'executive');
});
afterAll(() => test.close());

type Answer = Awaited<ReturnType<Api['post']>>;

async function issue(
  changes: Record<string, unknown> = {},
  who: TestPerson = people.safety,
): Promise<Answer> {
  const answer = await api.post(who, '/orders', {
    level: 4,
    selector: { model: 'model-a-1' },
    grounds: 'Look',
    ...changes,
  });
  expect([answer.status, answer.body.message]).toEqual([201, undefined]);
  return answer;
}

/** The kinds of the entries about an order, reading and what was refused left out. */
async function entriesOf(orderId: string): Promise<string[]> {
  // Whose token is of the clock as it is.
  const { body } = await new Api(test).get(people.auditor, `/log/entries?ref=${orderId}&limit=200`);
  const { items } = body as { items: { entry: { kind: string } }[] };
  return items.map(({ entry }) => entry.kind).filter((kind) => kind.startsWith('order.'));
}

const outcome = ({ status, body }: Answer): string => `${status} ${body.code ?? ''}`.trim();

const clear = (orderId: string): Promise<Answer> =>
  api.post(third, `/orders/${orderId}/lift`, { grounds: 'Done' });

describe('at the same moment', () => {
  it('two ratify: one does, the other is told that it was done', async () => {
    const { id } = (await issue()).body;
    const both = await Promise.all(
      [second, third].map((who) => api.post(who, `/orders/${id}/ratify`)),
    );
    expect(both.map(outcome).sort()).toEqual(['200', '409 already_decided']);
    expect(await entriesOf(id)).toEqual(['order.issued', 'order.ratified']);
    await clear(id);
  });

  it('one ratifies and one lifts: it is over, whichever was first', async () => {
    for (let round = 0; round < 5; round += 1) {
      const { id } = (await issue()).body;
      const steps = [
        () => api.post(second, `/orders/${id}/ratify`),
        () => api.post(third, `/orders/${id}/lift`, { grounds: 'A false alarm' }),
      ];
      if (round % 2 === 1) steps.reverse();
      const answers = (await Promise.all(steps.map((step) => step()))).map(outcome);
      const [ratified, lifted] = round % 2 === 1 ? answers.reverse() : answers;
      expect(lifted).toBe('200');
      expect(['200', '409 order_not_in_force']).toContain(ratified);
      const { body } = await api.get(second, `/orders/${id}`);
      expect(body).toMatchObject({ inForce: false, ended: { because: 'lifted', by: third.id } });
      const entries = [
        'order.issued',
        ...(ratified === '200' ? ['order.ratified'] : []),
        'order.lifted',
      ];
      expect(await entriesOf(id)).toEqual(entries);
    }
  });

  it('two lift, or lower: it is done once', async () => {
    const { id } = (await issue()).body;
    const lowered = { level: 2, measures: { limitsPercent: 50 }, grounds: 'Less will do' };
    const both = await Promise.all([
      api.post(second, `/orders/${id}/lower`, lowered),
      api.post(third, `/orders/${id}/lower`, lowered),
    ]);
    expect(both.map(outcome).sort()).toEqual(['200', '409 order_not_in_force']);
    const { body } = await api.get(second, '/orders?inForce=true');
    const instead = (body as { items: { id: string; replaces: string }[] }).items.filter(
      ({ replaces }) => replaces === id,
    );
    expect(instead).toHaveLength(1);
    await clear(instead[0]!.id);
  });
});

describe('If-Match', () => {
  const act = (who: TestPerson, path: string, body: object, match: string): Promise<Answer> =>
    api.call(who, 'post', path, body, { 'if-match': match });

  it('names the state of the order that may be changed', async () => {
    const issued = await issue();
    const { id, revision } = issued.body as { id: string; revision: string };
    const etag = issued.headers['etag'] as string;
    expect(etag).toBe(`"${revision}"`);
    expect((await api.get(second, `/orders/${id}`)).headers['etag']).toBe(etag);
    const evidence = { evidence: { class: 'reproduced' as const, text: 'Run 12' } };
    const supplemented = await act(second, `/orders/${id}/supplement`, evidence, etag);
    expect(supplemented.status).toBe(200);
    const latest = supplemented.headers['etag'] as string;
    expect(latest).not.toBe(etag);
    const steps: [string, object][] = [
      ['supplement', evidence],
      ['ratify', {}],
      ['lower', { level: 2, measures: { limitsPercent: 50 }, grounds: 'Less' }],
      ['lift', { grounds: 'Done' }],
    ];
    for (const [step, body] of steps)
      expect(outcome(await act(second, `/orders/${id}/${step}`, body, etag))).toBe(
        '412 stale_version',
      );
    const ratified = await act(second, `/orders/${id}/ratify`, {}, latest);
    expect(ratified.status).toBe(200);
    const review = { grounds: 'It goes on' };
    expect(outcome(await act(second, `/orders/${id}/review`, review, latest))).toBe(
      '412 stale_version',
    );
    const reviewed = await act(
      second,
      `/orders/${id}/review`,
      review,
      `"x", ${ratified.headers['etag']}`,
    );
    expect(reviewed.status).toBe(200);
    expect(outcome(await act(second, `/orders/${id}/lift`, review, 'unquoted'))).toBe(
      '400 invalid_request',
    );
    expect((await act(second, `/orders/${id}/lift`, review, '*')).status).toBe(200);
  });

  it('tells those who may not see the evidence that it changed, and nothing of it', async () => {
    await makeActiveGrant(test, people);
    const { id } = (await issue()).body;
    const seen = async (who: TestPerson): Promise<string> =>
      (await api.get(who, `/orders/${id}`)).body.revision as string;
    const before = await seen(people.lead);
    expect(before).toBe(await seen(people.safety));
    await api.post(second, `/orders/${id}/supplement`, { evidence: { class: 'written' } });
    expect(await seen(people.lead)).not.toBe(before);
    expect(await seen(people.lead)).toBe(await seen(people.safety));
    await clear(id);
  });

  it('of an objection: it is decided as it was read', async () => {
    await makeActiveGrant(test, people);
    const { id } = (await issue()).body;
    const filed = await api.post(people.lead, `/orders/${id}/object`, { grounds: 'No' });
    const path = `/disputes/${filed.body.id}/decide`;
    const body = { outcome: 'affirmed', grounds: 'It stands' };
    expect(outcome(await act(second, path, body, '"other"'))).toBe('412 stale_version');
    const decided = await act(second, path, body, `"${filed.body.revision}"`);
    expect([decided.status, decided.body.outcome]).toEqual([200, 'affirmed']);
    await clear(id);
  });
});

describe('two people', () => {
  it('are not one with two keys: nobody ratifies, lifts or decides on their own', async () => {
    await makeActiveGrant(test, people);
    const key = makeKey();
    const withSecondKey = { ...people.safety, ...key, kid: await thumbprintOf(key.publicKey) };
    await addPersonKey(test.broker, people.safety.id, people.safety.id, key.publicKey);
    const { id } = (await issue()).body;
    const filed = await api.post(people.lead, `/orders/${id}/object`, { grounds: 'No' });
    const other = new Api(test);
    const own = [
      await other.post(withSecondKey, `/orders/${id}/ratify`),
      await other.post(withSecondKey, `/orders/${id}/lift`, { grounds: 'x' }),
      await other.post(withSecondKey, `/orders/${id}/lower`, {
        level: 2,
        measures: { limitsPercent: 50 },
        grounds: 'x',
      }),
      await other.post(withSecondKey, `/disputes/${filed.body.id}/decide`, {
        outcome: 'vacated',
        grounds: 'x',
      }),
    ];
    expect(new Set(own.map(outcome))).toEqual(new Set(['403 second_person_needed']));
    await clear(id);
  });

  it('what somebody issued stays issued when they are removed, and takes the other part still', async () => {
    const leaves = await makePerson(test.broker, people.admin.id, people.host.id, 'Ed Executive', [
      'executive',
    ]);
    const { id } = (await issue({ level: 5 }, leaves)).body;
    await removePerson(test.broker, people.admin.id, leaves.id);
    expect((await api.get(second, `/orders/${id}`)).body.inForce).toBe(true);
    // The part of the executive is there: another executive's makes no pair.
    expect(outcome(await api.post(executive, `/orders/${id}/ratify`))).toBe('403 role_required');
    expect((await api.post(people.auditor, `/orders/${id}/ratify`)).body.ratified).toBe(true);
    expect((await api.post(executive, `/orders/${id}/lift`, { grounds: 'Done' })).status).toBe(200);
  });

  it('whoever was removed does nothing more with it', async () => {
    const leaves = await makePerson(test.broker, people.admin.id, people.host.id, 'Lu Leaves', [
      'safety',
    ]);
    const token = await api.get(leaves, '/me');
    expect(token.status).toBe(200);
    const { id } = (await issue()).body;
    const [removed, ratified] = await Promise.all([
      removePerson(test.broker, people.admin.id, leaves.id).then(() => 'removed'),
      api.post(leaves, `/orders/${id}/ratify`),
    ]);
    expect(removed).toBe('removed');
    expect(['200', '401 invalid_token', '401 token_revoked', '403 person_removed']).toContain(
      outcome(ratified),
    );
    expect((await api.post(leaves, `/orders/${id}/lift`, { grounds: 'x' })).status).toBe(401);
    await clear(id);
  });
});

describe('attributes that are missing', () => {
  it.each([
    ['matches', 1],
    ['spared', 0],
    [undefined, 1],
  ])('unknown: %s', async (unknown, stopped) => {
    const grant = await makeActiveGrant(test, people);
    const condition = { name: 'export_status', is: ['restricted'], ...(unknown && { unknown }) };
    const order = {
      level: 3,
      selector: { attributes: [condition], grant: grant.id },
      grounds: 'x',
    };
    const preview = await api.post(people.safety, '/orders/preview', { order });
    const { people: whom } = preview.body.stops as { people: { personId: string }[] };
    expect(whom.filter(({ personId }) => personId === people.researcher.id)).toHaveLength(stopped);
  });
});

describe('the clock', () => {
  const spec = (): Parameters<typeof issueOrder>[2] =>
    orderSpecSchema.parse({ level: 4, selector: { model: 'model-b-1' }, grounds: 'Look' });
  const issued = async (): Promise<{ id: string; lapsesAt: number }> => {
    const { order } = await issueOrder(test.broker, people.safety.id, spec(), true);
    return { id: order.id, lapsesAt: order.lapsesAt ?? 0 };
  };
  /** Sets the broker's clock, a little ahead of what is asked for by the time anything reads it. */
  const setTo = (moment: number): void => void (ahead = moment - Date.now());
  const code = (work: Promise<unknown>): Promise<string> =>
    work.then(
      () => 'done',
      (error: { refusal?: { code: string } }) => error.refusal?.code ?? 'failed',
    );
  const because = async (id: string): Promise<unknown> =>
    (await new Api(test).get(second, `/orders/${id}`)).body.ended?.because;

  it('ratified before it lapses, it stands; after, it is over: nothing lies between', async () => {
    const early = await issued();
    setTo(early.lapsesAt - 60_000);
    expect(await code(ratifyOrder(test.broker, second.id, early.id))).toBe('done');
    const late = await issued();
    setTo(late.lapsesAt);
    const [ratified] = await Promise.all([
      code(ratifyOrder(test.broker, second.id, late.id)),
      runAgenda(test.broker),
    ]);
    expect(ratified).toBe('order_not_in_force');
    await runAgenda(test.broker);
    expect(await because(late.id)).toBe('lapsed');
    expect(await because(early.id)).toBeUndefined();
    expect((await entriesOf(late.id)).filter((kind) => kind === 'order.lapsed')).toHaveLength(1);
    expect(await code(liftOrder(test.broker, third.id, early.id, 'Done'))).toBe('done');
  });

  it('set forward, it ends what has lapsed; set back, that stays over, and what has not is in force', async () => {
    const ended = await issued();
    setTo(ended.lapsesAt + HOUR);
    await runAgenda(test.broker);
    expect(await because(ended.id)).toBe('lapsed');
    const lasting = await issued();
    setTo(ended.lapsesAt - HOUR);
    await runAgenda(test.broker);
    expect(await because(ended.id)).toBe('lapsed');
    expect(await because(lasting.id)).toBeUndefined();
    expect(test.broker.policy.orders.map(({ id }) => id)).toContain(lasting.id);
    expect(test.broker.policy.orders.map(({ id }) => id)).not.toContain(ended.id);
    expect(await code(ratifyOrder(test.broker, second.id, lasting.id))).toBe('done');
    expect(await code(liftOrder(test.broker, third.id, lasting.id, 'Done'))).toBe('done');
  });
});
