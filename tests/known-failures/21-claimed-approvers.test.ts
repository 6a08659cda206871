/**
 * Known failure 21: the approver is whom the client says; an approver who is also the auditor hides entries; the cap on
 * duration is ignored.
 */
import { decodeJwt } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { addPersonKey } from '../../src/broker/manage-people.ts';
import { Api } from '../support/api.ts';
import { grantInput, makeActiveGrant } from '../support/grants.ts';
import { getToken, makeKey, makePeople, makePerson, type People } from '../support/people.ts';
import { thumbprintOf } from '../../src/oauth/client-assertion.ts';
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

async function submitted(by = people.lead): Promise<string> {
  const { body } = await api.post(by, '/grants', grantInput(people));
  await api.post(by, `/grants/${body.id}/submit`);
  return body.id as string;
}

describe('an approval', () => {
  it.each(['approver', 'approverId', 'personId', 'actor', 'as', 'by'])(
    'takes no word of the client for who gives it: "%s" is refused',
    async (field) => {
      const id = await submitted();
      const answer = await api.post(people.admin, `/grants/${id}/approve`, {
        [field]: field === 'as' ? 'safety' : people.safety.id,
      });
      expect([answer.status, answer.body.code]).toEqual([400, 'invalid_request']);
      expect((await api.get(people.admin, `/grants/${id}`)).body.approvals).toEqual([]);
    },
  );

  it('is not made two by a second key of the same person', async () => {
    const { admin, safety, host } = people;
    const both = await makePerson(test.broker, admin.id, host.id, 'Bo Both', ['admin', 'safety']);
    const key = makeKey();
    const second = { ...both, ...key, kid: await thumbprintOf(key.publicKey) };
    await addPersonKey(test.broker, both.id, both.id, key.publicKey);
    const id = await submitted();
    expect((await api.post(both, `/grants/${id}/approve`)).status).toBe(200);
    const withSecondKey = new Api(test);
    const again = await withSecondKey.post(second, `/grants/${id}/approve`);
    expect([again.status, again.body.code]).toEqual([409, 'already_decided']);
    expect((await api.post(safety, `/grants/${id}/approve`)).body.state).toBe('approved');
  });

  it('is not the author’s to give with another key either', async () => {
    const { admin } = people;
    const key = makeKey();
    const second = { ...admin, ...key, kid: await thumbprintOf(key.publicKey) };
    await addPersonKey(test.broker, admin.id, admin.id, key.publicKey);
    const id = await submitted(admin);
    const own = await new Api(test).post(second, `/grants/${id}/approve`);
    expect([own.status, own.body.code]).toEqual([403, 'author_may_not_decide']);
  });

  it('stands in the log with the person who gave it, and nobody can take the entry out', async () => {
    const { admin, host, auditor, safety } = people;
    const judge = await makePerson(test.broker, admin.id, host.id, 'Al Auditor', [
      'safety',
      'auditor',
    ]);
    const size = test.broker.readers.logSize();
    const id = await submitted();
    await api.post(judge, `/grants/${id}/approve`);
    const seen = await api.get(auditor, `/log/entries?ref=${id}&from=${size}`);
    const kinds = (seen.body.items as { entry: { kind: string; actor: object } }[]).map(
      ({ entry }) => entry,
    );
    expect(kinds.find(({ kind }) => kind === 'grant.approved')).toMatchObject({
      actor: { person: judge.id },
    });
    for (const method of ['put', 'delete'] as const)
      expect((await api.call(judge, method, '/log/entries')).status).toBe(405);
    expect((await api.post(safety, `/grants/${id}/approve`)).body.code).toBe('approval_not_needed');
  });
});

describe('the window', () => {
  it('caps tokens to the second, and no single person extends it', async () => {
    const { admin, lead, researcher } = people;
    const until = new Date(Date.now() + 120_000).toISOString();
    const from = new Date(Date.now() - 60_000).toISOString();
    const grant = await makeActiveGrant(test, people, {
      window: { from, until },
      tokenLifetimeSeconds: 3600,
    });
    const access = { grant: grant.id, purpose: 'scheming' as const, run: 'one' };
    const endsAt = async (): Promise<number> =>
      Number(decodeJwt(await getToken(test, researcher, access)).exp) * 1000;
    expect(await endsAt()).toBeLessThanOrEqual(Date.parse(until));
    const later = { from, until: new Date(Date.now() + 7_200_000).toISOString() };
    for (const who of [admin, lead]) {
      const answer = await api.call(who, 'put', `/grants/${grant.id}`, {
        ...grant.spec,
        window: later,
      });
      expect(answer.body).toMatchObject({ version: 1, spec: { window: { until } } });
    }
    expect(await endsAt()).toBeLessThanOrEqual(Date.parse(until));
  });
});
