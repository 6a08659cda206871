import { decodeJwt } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Api } from '../support/api.ts';
import { makeActiveGrant } from '../support/grants.ts';
import { admitForTest } from '../support/live-request.ts';
import { getToken, makePeople, makePerson, type People } from '../support/people.ts';
import { startTestBroker, type TestBroker } from '../support/test-broker.ts';
import { NO_GRANT } from './route-samples.ts';

let test: TestBroker;
let people: People;
let api: Api;

beforeAll(async () => {
  test = await startTestBroker();
  people = await makePeople(test);
  api = new Api(test);
});
afterAll(() => test.close());

describe('issuing an order', () => {
  it('answers with the order, and with what it cut', async () => {
    const grant = await makeActiveGrant(test, people);
    const other = await makeActiveGrant(test, people);
    const inScope = await admitForTest(test, grant, people.researcher);
    const outOfScope = await admitForTest(test, other, people.researcher);
    const answer = await api.post(people.safety, '/orders?confirmed=true', {
      selector: { grant: grant.id },
      grounds: 'An answer named a real person.',
    });
    expect(answer.status).toBe(201);
    expect(answer.body).toMatchObject({
      level: 4,
      inForce: true,
      issuedBy: people.safety.id,
      ended: null,
      warning: null,
    });
    expect(answer.body.cut).toEqual([
      {
        requestId: inScope.id,
        personId: people.researcher.id,
        grantId: grant.id,
        at: expect.stringMatching(/^\d{4}-.*Z$/) as string,
      },
    ]);
    expect(inScope.cancellation.isCancelled).toBe(true);
    expect(outOfScope.cancellation.isCancelled).toBe(false);
    await expect(admitForTest(test, grant, people.researcher)).rejects.toMatchObject({
      refusal: { code: 'grant_suspended', orders: [answer.body.id] },
    });
    await Promise.all([inScope.end(), outOfScope.end()]);
  });

  it.each([
    ['access_suspended', () => ({ all: true })],
    ['lab_suspended', () => ({ lab: people.partner.id })],
    ['person_suspended', () => ({ person: people.researcher.id })],
    ['endpoint_suspended', () => ({ endpoint: 'demo' })],
    ['model_suspended', () => ({ model: 'model-a-1' })],
  ] as const)('%s: what is in flight is cut, and nothing new passes', async (code, selector) => {
    const grant = await makeActiveGrant(test, people);
    const inFlight = await admitForTest(test, grant, people.researcher);
    const order = await api.post(people.safety, '/orders?confirmed=true', {
      selector: selector(),
      grounds: 'Stop',
    });
    expect(inFlight.cancellation.isCancelled).toBe(true);
    expect(order.body.cut).toMatchObject([{ requestId: inFlight.id }]);
    await expect(admitForTest(test, grant, people.researcher)).rejects.toMatchObject({
      refusal: { code, orders: [order.body.id] },
    });
    await inFlight.end();
    await api.post(people.admin, `/orders/${order.body.id}/lift`, { grounds: 'Done' });
    await (await admitForTest(test, grant, people.researcher)).end();
  });

  it('is refused with an end that is past: it would seem to stop something', async () => {
    const order = {
      selector: { grant: NO_GRANT },
      grounds: 'A test',
      expiresAt: '2020-01-01T00:00:00Z',
    };
    const answer = await api.post(people.safety, '/orders?confirmed=true', order);
    expect([answer.status, answer.body.code, answer.body.param]).toEqual([
      400,
      'invalid_request',
      'expiresAt',
    ]);
  });

  it('never fails for naming what is not there: it warns', async () => {
    const answer = await api.post(people.safety, '/orders?confirmed=true', {
      selector: { grant: NO_GRANT },
      grounds: 'Typed in a hurry',
    });
    expect(answer.status).toBe(201);
    expect(answer.body.warning).toContain(NO_GRANT);
  });

  it.each([
    ['none', {}],
    ['everything and something', { all: true, grant: NO_GRANT }],
    ['one that is not known', { everything: true }],
    ['an id of another kind', { grant: 'lab_00000000000000000000000000' }],
  ])('takes a selector: not %s', async (_name, selector) => {
    const answer = await api.post(people.safety, '/orders?confirmed=true', {
      selector,
      grounds: 'x',
    });
    expect([answer.status, answer.body.code]).toEqual([400, 'invalid_request']);
  });
});

describe('lifting an order', () => {
  it('takes a second person, and gives access back', async () => {
    const { safety, admin } = people;
    const grant = await makeActiveGrant(test, people);
    const selector = { grant: grant.id };
    const { id } = (await api.post(safety, '/orders?confirmed=true', { selector, grounds: 'Look' }))
      .body as {
      id: string;
    };
    const own = await api.post(safety, `/orders/${id}/lift`, { grounds: 'Understood' });
    expect([own.status, own.body.code]).toEqual([403, 'second_person_needed']);
    expect((await api.get(admin, `/orders/${id}`)).body.inForce).toBe(true);
    const lifted = await api.post(admin, `/orders/${id}/lift`, { grounds: 'Understood' });
    expect(lifted.body).toMatchObject({
      inForce: false,
      ended: { by: admin.id, because: 'lifted', grounds: 'Understood' },
    });
    const twice = await api.post(admin, `/orders/${id}/lift`, { grounds: 'Again' });
    expect([twice.status, twice.body.code]).toEqual([409, 'order_not_in_force']);
    expect((await api.get(people.lead, `/grants/${grant.id}`)).body.status).toBe('active');
  });

  it('leaves other orders over the same grant in force', async () => {
    const { safety, admin } = people;
    const second = await makePerson(test.broker, admin.id, people.host.id, 'Ira Safety', [
      'safety',
    ]);
    const grant = await makeActiveGrant(test, people);
    const issue = async (who: typeof safety, selector: object): Promise<string> =>
      (await api.post(who, '/orders?confirmed=true', { selector, grounds: 'Look' })).body
        .id as string;
    const first = await issue(safety, { grant: grant.id });
    const other = await issue(second, { lab: people.partner.id });
    await api.post(second, `/orders/${first}/lift`, { grounds: 'Done' });
    const shown = await api.get(people.lead, `/grants/${grant.id}`);
    expect(shown.body).toMatchObject({
      status: 'suspended',
      statusReason: { code: 'lab_suspended', orders: [other] },
    });
    await api.post(safety, `/orders/${other}/lift`, { grounds: 'Done' });
  });
});

describe('an order is seen', () => {
  const sees = async (who: typeof people.lead, id: string): Promise<boolean> =>
    (await api.get(who, `/orders/${id}`)).status === 200;

  it('by the partner whom it is about, and by no other', async () => {
    const grant = await makeActiveGrant(test, people);
    const held = await getToken(test, people.researcher, {
      grant: grant.id,
      purpose: 'scheming',
      run: 'seen',
    });
    const { jti: token } = decodeJwt(held);
    const list = await api.get(people.lead, `/tokens?grant=${grant.id}`);
    const run = list.body.items[0].runId as string;
    const selectors = [
      { token },
      { run },
      { person: people.researcher.id },
      { attributes: [{ name: 'employer', is: ['Acme'] }] },
    ];
    for (const selector of selectors) {
      const order = { level: 1, selector, grounds: 'Look' };
      const { id } = (await api.post(people.safety, '/orders', order)).body as { id: string };
      expect([selector, await sees(people.lead, id)]).toEqual([selector, true]);
      expect([selector, await sees(people.otherLead, id)]).toEqual([selector, false]);
    }
  });

  it("a partner's own by the host, and by no other partner", async () => {
    const order = { level: 0, selector: { endpoint: 'demo' }, grounds: 'A finding of ours' };
    const { id } = (await api.post(people.researcher, '/orders', order)).body as { id: string };
    expect(await sees(people.safety, id)).toBe(true);
    expect(await sees(people.lead, id)).toBe(true);
    expect(await sees(people.otherLead, id)).toBe(false);
    const told = test.broker.readers.listOrders({ limit: 1 }, {});
    expect(told[0]?.id).toBe(id);
  });
});

it('whoever may not see what would be stopped is not told how much that is', async () => {
  const order = { level: 4, selector: { all: true }, grounds: 'Everything' };
  const answer = await api.post(people.researcher, '/orders', order);
  expect([answer.status, answer.body.code]).toEqual([403, 'role_required']);
});

it('an order that never lapses does not begin to when it is reviewed', async () => {
  const levels = { suspend: { lapse: null } };
  const other = await startTestBroker({ authority: { orders: { levels } } });
  try {
    const some = await makePeople(other);
    const calls = new Api(other);
    const order = { selector: { model: 'model-a-1' }, grounds: 'Look' };
    const issued = await calls.post(some.safety, '/orders', order);
    expect(issued.body.endsAt).toBeNull();
    const path = `/orders/${issued.body.id}/review`;
    const reviewed = await calls.post(some.admin, path, { grounds: 'Goes on' });
    expect([reviewed.status, reviewed.body.endsAt]).toEqual([200, null]);
    expect(reviewed.body.reviewDueAt).not.toBeNull();
  } finally {
    await other.close();
  }
});

it('an objection is decided by those who may, and a stranger is told that there is none', async () => {
  const grant = await makeActiveGrant(test, people);
  const issued = await api.post(people.safety, '/orders', {
    level: 3,
    selector: { grant: grant.id, purpose: 'scheming' },
    grounds: 'Look',
  });
  const filed = await api.post(people.lead, `/orders/${issued.body.id}/object`, { grounds: 'No' });
  expect(filed.status).toBe(201);
  const again = await api.post(people.lead, `/orders/${issued.body.id}/object`, { grounds: 'No' });
  expect([again.status, again.body.code]).toEqual([409, 'already_exists']);
  // What their lead has said takes nothing from what a researcher has to say.
  const path = `/orders/${issued.body.id}/object`;
  const another = await api.post(people.researcher, path, { grounds: 'Nor mine' });
  expect(another.status).toBe(201);
  const decide = (who: typeof people.lead): ReturnType<Api['post']> =>
    api.post(who, `/disputes/${filed.body.id}/decide`, { outcome: 'vacated', grounds: 'Right' });
  expect((await decide(people.otherLead)).body.code).toBe('not_found');
  expect((await decide(people.lead)).body.code).toBe('role_required');
  expect((await decide(people.safety)).body.code).toBe('second_person_needed');
  expect((await decide(people.admin)).body).toMatchObject({ outcome: 'vacated' });
  const order = await api.get(people.lead, `/orders/${issued.body.id}`);
  expect(order.body).toMatchObject({ inForce: false, ended: { because: 'vacated' } });
  // The other one is owed an answer all the same: whether the order was right.
  const rule = (outcome: string): ReturnType<Api['post']> =>
    api.post(people.admin, `/disputes/${another.body.id}/decide`, { outcome, grounds: 'Said' });
  expect((await rule('modified')).body).toMatchObject({ code: 'order_not_in_force' });
  expect((await rule('vacated')).body).toMatchObject({ outcome: 'vacated', newOrderId: null });
  const after = await api.get(people.lead, `/orders/${issued.body.id}`);
  expect(after.body.ended).toEqual(order.body.ended);
});

describe('the list of orders', () => {
  it('can be narrowed to those in force', async () => {
    const all = await api.get(people.auditor, '/orders?limit=200');
    const inForce = await api.get(people.auditor, '/orders?limit=200&inForce=true');
    const lifted = all.body.items.filter((order: { inForce: boolean }) => !order.inForce);
    expect(lifted.length).toBeGreaterThan(0);
    expect(inForce.body.items).toHaveLength(all.body.items.length - lifted.length);
  });
});
