import request from 'supertest';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ASSERTION_TYPE } from '../../src/oauth/client-assertion.ts';
import { Api } from '../support/api.ts';
import { makeActiveGrant } from '../support/grants.ts';
import {
  getToken,
  makePeople,
  signAssertion,
  type People,
  type TestPerson,
} from '../support/people.ts';
import { startTestBroker, type TestBroker } from '../support/test-broker.ts';

let test: TestBroker;
let people: People;
let api: Api;

beforeAll(async () => {
  test = await startTestBroker();
  people = await makePeople(test);
  api = new Api(test);
});
afterAll(() => test.close());

const whoAmI = (token: string) =>
  request(test.url).get('/api/v1/me').set('authorization', `Bearer ${token}`);

async function revoke(who: TestPerson, token: string, changes: Record<string, string> = {}) {
  const form = {
    client_assertion_type: ASSERTION_TYPE,
    client_assertion: await signAssertion(test, who),
    token,
    ...changes,
  };
  return request(test.url)
    .post('/oauth/revoke')
    .type('form')
    .send(new URLSearchParams(form).toString());
}

describe('RFC 7009', () => {
  it('ends the own token before it answers', async () => {
    const token = await getToken(test, people.lead);
    expect((await whoAmI(token)).status).toBe(200);
    const answer = await revoke(people.lead, token, { token_type_hint: 'access_token' });
    expect([answer.status, answer.text]).toEqual([200, '']);
    expect((await whoAmI(token)).body.code).toBe('token_revoked');
  });

  it("answers the same for nonsense and for another's token, which it leaves alone", async () => {
    const token = await getToken(test, people.lead);
    for (const presented of ['nonsense', token]) {
      const answer = await revoke(people.otherLead, presented);
      expect([answer.status, answer.text]).toEqual([200, '']);
    }
    expect((await whoAmI(token)).status).toBe(200);
  });

  it('takes authentication, a token, and no assertion twice', async () => {
    const token = await getToken(test, people.lead);
    const noToken = await revoke(people.lead, '');
    expect([noToken.status, noToken.body.error]).toEqual([400, 'invalid_request']);
    const nobody = await revoke(people.lead, token, { client_assertion: 'x.y.z' });
    expect([nobody.status, nobody.body.error]).toEqual([401, 'invalid_client']);
    const somebodyElse = await revoke(people.lead, token, { client_id: people.researcher.id });
    expect([somebodyElse.status, somebodyElse.body.error]).toEqual([401, 'invalid_client']);
    const assertion = await signAssertion(test, people.lead);
    await revoke(people.lead, 'nonsense', { client_assertion: assertion });
    const again = await revoke(people.lead, token, { client_assertion: assertion });
    expect([again.status, again.body.code]).toEqual([401, 'assertion_replayed']);
    expect((await whoAmI(token)).status).toBe(200);
  });
});

describe('tokens of the control API', () => {
  it('are listed by id, never by value, and revoked by id', async () => {
    const { lead, researcher, safety } = people;
    const grant = await makeActiveGrant(test, people);
    const access = { grant: grant.id, purpose: 'scheming', run: 'A run' } as const;
    const value = await getToken(test, researcher, access);
    const list = await api.get(lead, `/tokens?grant=${grant.id}&live=true`);
    expect(list.body.items).toMatchObject([
      { audience: 'gateway', personId: researcher.id, runName: 'A run', revokedAt: null },
    ]);
    expect(JSON.stringify(list.body)).not.toContain(value.split('.')[2]);
    const { id } = list.body.items[0] as { id: string };
    const revoked = await api.post(safety, `/tokens/${id}/revoke`);
    expect(revoked.body).toEqual({ id, revokedAt: expect.any(String) as string, cut: 0 });
    const again = await api.post(lead, `/tokens/${id}/revoke`);
    expect(again.body).toEqual(revoked.body);
    expect((await api.get(lead, `/tokens?grant=${grant.id}&live=true`)).body.items).toEqual([]);
    const entries = test.broker.readers.listEntries({ from: 0, limit: 10, ref: id });
    expect(entries.map(({ bytes }) => JSON.parse(String(bytes)).kind)).toEqual([
      'token.issued',
      'token.revoked',
    ]);
  });
});
