/** Known failure 22: two approvals at the same time grant twice, or never; an empty list of approvers means everyone. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { authorityRulesSchema } from '../../src/core/authority-rules.ts';
import { Api } from '../support/api.ts';
import { grantInput, makeActiveGrant } from '../support/grants.ts';
import { makePeople, type People } from '../support/people.ts';
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

interface Entry {
  kind: string;
  data: { state: string; version: number };
}

const approvalsSince = (size: number): Entry[] =>
  test.broker.readers
    .listEntries({ from: size, limit: 50 })
    .map(({ bytes }) => JSON.parse(String(bytes)) as Entry)
    .filter(({ kind }) => kind === 'grant.approved');

const approveAtOnce = async (id: string): Promise<number[]> => {
  const { admin, secondAdmin, safety } = people;
  const answers = await Promise.all(
    [admin, safety, secondAdmin, admin, safety].map((who) =>
      api.post(who, `/grants/${id}/approve`),
    ),
  );
  return answers.map(({ status }) => status);
};

describe('approvals at the same moment', () => {
  it('of a grant take effect once each, and together once', async () => {
    for (let round = 0; round < 10; round += 1) {
      const { body } = await api.post(people.lead, '/grants', grantInput(people));
      const id = body.id as string;
      await api.post(people.lead, `/grants/${id}/submit`);
      const size = test.broker.readers.logSize();
      const statuses = await approveAtOnce(id);
      expect(statuses.filter((status) => status === 200)).toHaveLength(2);
      const shown = await api.get(people.lead, `/grants/${id}`);
      expect(shown.body).toMatchObject({ state: 'approved', version: 1 });
      expect(shown.body.approvals).toHaveLength(2);
      expect(approvalsSince(size).map(({ data }) => data.state)).toEqual(['submitted', 'approved']);
    }
  });

  it('of a version that is to follow bring it into force once', async () => {
    const grant = await makeActiveGrant(test, people);
    const wider = { ...grant.spec, tokenLifetimeSeconds: 1800 };
    await api.call(people.lead, 'put', `/grants/${grant.id}`, wider);
    await api.post(people.lead, `/grants/${grant.id}/submit`);
    const size = test.broker.readers.logSize();
    const statuses = await approveAtOnce(grant.id);
    expect(statuses.filter((status) => status === 200)).toHaveLength(2);
    expect((await api.get(people.lead, `/grants/${grant.id}`)).body).toMatchObject({
      state: 'active',
      version: 2,
      proposed: null,
    });
    expect(approvalsSince(size).map(({ data }) => data.version)).toEqual([1, 2]);
  });

  it('and a return: whichever is first, no approval outlives it', async () => {
    const { admin, safety, lead } = people;
    const { body } = await api.post(lead, '/grants', grantInput(people));
    const path = `/grants/${body.id}`;
    await api.post(lead, `${path}/submit`);
    await Promise.all([
      api.post(admin, `${path}/approve`),
      api.post(safety, `${path}/return`, { grounds: 'Wait' }),
    ]);
    expect((await api.get(lead, path)).body).toMatchObject({ state: 'returned', approvals: [] });
  });
});

describe('nobody', () => {
  it('is no policy: at least two roles approve', () => {
    for (const approvals of [[], ['admin'], ['admin', 'admin']])
      expect(authorityRulesSchema.safeParse({ approvals }).success).toBe(false);
  });
});
