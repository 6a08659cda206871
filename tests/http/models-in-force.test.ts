/** Which models a token gives access to: what it was asked for, less what orders stop at that moment. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { issueOrder, liftOrder } from '../../src/broker/issue-order.ts';
import type { Grant } from '../../src/core/grants.ts';
import { orderSpecSchema } from '../../src/core/orders/order.ts';
import type { Selector } from '../../src/core/orders/selector.ts';
import { ASSERTION_TYPE } from '../../src/oauth/client-assertion.ts';
import { makeActiveGrant } from '../support/grants.ts';
import { makePeople, signAssertion, tokenForm, type People } from '../support/people.ts';
import { entriesSince, oauthErrorOf, refused, send } from '../support/refusals.ts';
import { startTestBroker, type TestBroker } from '../support/test-broker.ts';

const A = 'model-a-1';
const B = 'model-b-1';

let test: TestBroker;
let people: People;
let grant: Grant;
/** For one model, and for all that the grant has. */
let narrow: string;
let wide: string;

beforeAll(async () => {
  test = await startTestBroker();
  people = await makePeople(test);
  grant = await makeActiveGrant(test, people);
});
afterAll(() => test.close());
beforeEach(async () => {
  narrow = (await ask([A])).token;
  wide = (await ask()).token;
});

const formFor = (models?: string[]): Promise<Record<string, string>> =>
  tokenForm(test, people.researcher, {
    grant: grant.id,
    purpose: 'scheming',
    run: 'a run',
    ...(models ? { models } : {}),
  });

const modelsOf = ({ authorization_details: details }: Record<string, unknown>): unknown =>
  (details as { models: string[] }[] | undefined)?.[0]?.models;

/** A token, and the models that the answer names. */
async function ask(models?: string[]): Promise<{ token: string; models: unknown }> {
  const { status, body } = await send(test, {
    path: '/oauth/token',
    form: await formFor(models),
  });
  expect([status, body['code']]).toEqual([200, undefined]);
  return { token: String(body['access_token']), models: modelsOf(body) };
}

/** The models of a token that is active; false where it is not. */
async function introspect(token: string): Promise<unknown> {
  const form = {
    client_assertion_type: ASSERTION_TYPE,
    client_assertion: await signAssertion(test, people.researcher),
    token,
  };
  const { body } = await send(test, { path: '/oauth/introspect', form });
  return body['active'] === true && modelsOf(body);
}

/** What the gateway offers to a token: the models, or why there are none. */
async function offered(token: string): Promise<unknown> {
  const headers = { authorization: `Bearer ${token}` };
  const { body } = await send(test, { method: 'GET', path: '/v1/models', headers });
  const { error, data } = body as { error?: { code: string }; data?: { id: string }[] };
  return error?.code ?? data?.map(({ id }) => id);
}

async function order(selector: Selector): Promise<{ id: string; lift: () => Promise<unknown> }> {
  const spec = orderSpecSchema.parse({ selector, grounds: 'Look' });
  const { order: issued } = await issueOrder(test.broker, people.safety.id, spec, true);
  const { id } = issued;
  return { id, lift: () => liftOrder(test.broker, people.admin.id, id, 'Seen') };
}

it('without an order, are those that were asked for', async () => {
  expect((await ask([A])).models).toEqual([A]);
  expect((await ask()).models).toEqual([A, B]);
  expect([await introspect(narrow), await introspect(wide)]).toEqual([[A], [A, B]]);
});

describe('while an order stops the one model of a token', () => {
  it('that token is worth nothing, and there is no new one like it', async () => {
    const { id, lift } = await order({ model: A });
    expect([await introspect(narrow), await offered(narrow)]).toEqual([false, 'model_suspended']);
    const size = test.broker.readers.logSize();
    const asked = { path: '/oauth/token', form: await formFor([A]) };
    const answer = await refused(test, asked, 'model_suspended', { entry: 'token.denied' });
    expect(oauthErrorOf(answer)).toEqual([400, 'unauthorized_client']);
    expect(entriesSince(test, size)).toMatchObject([{ grant: grant.id, orders: [id] }]);
    await lift();
    expect([await introspect(narrow), await offered(narrow)]).toEqual([[A], [A]]);
    expect((await ask([A])).models).toEqual([A]);
  });

  it('a token for more has the others, and says so wherever it is asked', async () => {
    const { lift } = await order({ model: A });
    expect([await introspect(wide), await offered(wide)]).toEqual([[B], [B]]);
    expect((await ask()).models).toEqual([B]);
    expect((await ask([A, B])).models).toEqual([B]);
    await lift();
    expect([await introspect(wide), await offered(wide)]).toEqual([
      [A, B],
      [A, B],
    ]);
  });
});

it('an order on another model leaves a token as it is', async () => {
  const { lift } = await order({ model: B });
  expect([await introspect(narrow), await offered(narrow)]).toEqual([[A], [A]]);
  expect((await ask([A])).models).toEqual([A]);
  await lift();
});
