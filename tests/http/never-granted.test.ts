/** What the configuration never grants, and approvals beyond the usual that an endpoint asks for. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Api } from '../support/api.ts';
import { grantInput, makeActiveGrant, type GrantInput } from '../support/grants.ts';
import { admitForTest } from '../support/live-request.ts';
import { getToken, makePeople, makePerson, type People } from '../support/people.ts';
import {
  DEMO_ENDPOINT,
  startTestBroker,
  type TestBroker,
  type TestBrokerOptions,
} from '../support/test-broker.ts';

describe('an endpoint, model or purpose that is never granted', () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'sallyport-test-'));
  let test: TestBroker;
  let people: People;

  const start = async (options: TestBrokerOptions = {}): Promise<void> => {
    // The same port, so that keys and tokens are for the same issuer.
    const port = test ? Number(new URL(test.url).port) : 0;
    await test?.close();
    test = await startTestBroker({ dataDir, server: { port }, ...options });
  };
  beforeAll(async () => {
    await start();
    people = await makePeople(test);
  });
  afterAll(async () => {
    await test.close();
    rmSync(dataDir, { recursive: true, force: true });
  });

  it.each<[string, NonNullable<TestBrokerOptions['neverGrant']>]>([
    ['endpoint "demo"', { endpoints: ['demo'] }],
    ['model "model-b-1"', { models: ['model-b-1'] }],
    ['purpose "scheming"', { purposes: ['scheming'] }],
  ])('%s is refused by name, whoever approves', async (name, neverGrant) => {
    await start();
    const drafted = await new Api(test).post(people.lead, '/grants', grantInput(people));
    const underReview = await new Api(test).post(people.lead, '/grants', grantInput(people));
    await new Api(test).post(people.lead, `/grants/${underReview.body.id}/submit`);
    const active = await makeActiveGrant(test, people);

    await start({ neverGrant });
    const api = new Api(test);
    const tries = [
      api.post(people.lead, '/grants', grantInput(people)),
      api.call(people.lead, 'put', `/grants/${drafted.body.id}`, grantInput(people)),
      api.post(people.lead, `/grants/${drafted.body.id}/submit`),
      api.post(people.admin, `/grants/${underReview.body.id}/approve`),
      api.call(people.admin, 'put', `/grants/${active.id}`, {
        ...active.spec,
        tokenLifetimeSeconds: 60,
      } satisfies GrantInput),
    ];
    for (const answer of await Promise.all(tries)) {
      expect([answer.status, answer.body.code]).toEqual([403, 'never_granted']);
      expect(answer.body.detail).toContain(name);
    }
  });

  it('bites under grants that exist, and nothing else does', async () => {
    await start();
    const active = await makeActiveGrant(test, people);
    const only = await makeActiveGrant(test, people, {
      endpoints: [{ endpoint: 'demo', models: ['model-b-1'] }],
    });
    await start({ neverGrant: { models: ['model-b-1'], purposes: ['sycophancy'] } });
    const api = new Api(test);
    const { researcher } = people;
    const shown = await api.get(researcher, `/grants/${only.id}`);
    expect(shown.body).toMatchObject({
      status: 'suspended',
      statusReason: { code: 'never_granted' },
    });
    const access = (grant: string, purpose: 'sycophancy' | 'scheming') => ({
      grant,
      purpose,
      run: 'one',
    });
    await expect(getToken(test, researcher, access(only.id, 'scheming'))).rejects.toThrow(
      'never_granted',
    );
    await expect(getToken(test, researcher, access(active.id, 'sycophancy'))).rejects.toThrow(
      'never_granted',
    );
    // The other model of the other grant passes.
    expect((await api.get(researcher, `/grants/${active.id}`)).body.status).toBe('active');
    const token = await getToken(test, researcher, access(active.id, 'scheming'));
    const models = await fetch(`${test.url}/v1/models`, {
      headers: { authorization: `Bearer ${token}` },
    });
    const { data } = (await models.json()) as { data: { id: string }[] };
    expect(data.map(({ id }) => id)).toEqual(['model-a-1']);
    const passes = await admitForTest(test, active, researcher);
    await passes.end();
    const endpoints = [{ endpoint: 'demo', models: ['model-b-1'] }];
    const stopped = { ...active, spec: { ...active.spec, endpoints } };
    await expect(admitForTest(test, stopped, researcher)).rejects.toMatchObject({
      refusal: { code: 'never_granted' },
    });
  });
});

describe('an endpoint that asks for more approvals', () => {
  it('has them frozen into a grant when it is submitted', async () => {
    const test = await startTestBroker({
      endpoints: [
        { ...DEMO_ENDPOINT, approvals: ['executive'] },
        { ...DEMO_ENDPOINT, id: 'plain', models: ['model-c-1'] },
      ],
    });
    const people = await makePeople(test);
    const { admin, safety, host, lead } = people;
    const chief = await makePerson(test.broker, admin.id, host.id, 'Eva Executive', ['executive']);
    const api = new Api(test);
    const plain = await api.post(
      lead,
      '/grants',
      grantInput(people, { endpoints: [{ endpoint: 'plain', models: ['model-c-1'] }] }),
    );
    expect(plain.body.approvalsNeeded).toEqual(['admin', 'safety']);
    const made = await api.post(lead, '/grants', grantInput(people));
    expect(made.body.approvalsNeeded).toEqual(['admin', 'safety', 'executive']);
    const path = `/grants/${made.body.id}`;
    await api.post(lead, `${path}/submit`);
    await api.post(admin, `${path}/approve`);
    const two = await api.post(safety, `${path}/approve`);
    expect(two.body).toMatchObject({ state: 'submitted' });
    expect(two.body.statusReason.message).toContain('executive');
    expect((await api.post(people.auditor, `${path}/approve`)).body.code).toBe(
      'approval_not_needed',
    );
    expect((await api.post(chief, `${path}/approve`)).body.state).toBe('approved');
    await test.close();
  });
});
