/** A grant in force and the version that is to follow it. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { removePerson } from '../../src/broker/manage-people.ts';
import type { Grant } from '../../src/core/grants.ts';
import { Api } from '../support/api.ts';
import { grantInput, makeActiveGrant, type GrantInput } from '../support/grants.ts';
import { admitForTest } from '../support/live-request.ts';
import {
  getToken,
  makePeople,
  makePerson,
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

interface Shown {
  status: number;
  body: {
    code?: string;
    detail?: string;
    state: string;
    status: string;
    version: number;
    revision: string;
    spec: GrantInput;
    termsDigest: string;
    acceptedBy: string[];
    approvalsNeeded: string[];
    approvals: { personId: string; as: string }[];
    proposed: {
      version: number;
      state: string;
      termsDigest: string;
      approvals: { personId: string; as: string }[];
      changes: { path: string; effect: string }[];
    } | null;
  };
}

const put = (who: TestPerson, grant: Grant, changes: Partial<GrantInput>): Promise<Shown> =>
  api.call(who, 'put', `/grants/${grant.id}`, { ...grant.spec, ...changes });

const step = (who: TestPerson, grant: Grant, name: string, body?: object): Promise<Shown> =>
  api.post(who, `/grants/${grant.id}/${name}`, body);

const show = async (grant: Grant): Promise<Shown['body']> =>
  (await api.get(people.lead, `/grants/${grant.id}`)).body as Shown['body'];

const LATER = new Date(Date.now() + 172_800_000).toISOString();
const longer = (grant: Grant): Partial<GrantInput> => ({
  window: { from: grant.spec.window.from, until: LATER },
});

const entriesFrom = (size: number): { kind: string; data: Record<string, unknown> }[] =>
  test.broker.readers
    .listEntries({ from: size, limit: 20 })
    .map(
      ({ bytes }) => JSON.parse(String(bytes)) as { kind: string; data: Record<string, unknown> },
    );

describe('narrowing', () => {
  it('by one admin is in force at once, and cuts the streams that it takes away', async () => {
    const { admin, lead, researcher } = people;
    const grant = await makeActiveGrant(test, people);
    const [cut, goesOn] = await Promise.all(
      [researcher, lead].map((who) => admitForTest(test, grant, who)),
    );
    const size = test.broker.readers.logSize();
    const { status, body } = await put(admin, grant, { people: [{ person: lead.id }] });
    expect([status, body.version, body.state, body.proposed]).toEqual([200, 2, 'active', null]);
    expect(cut?.cancellation.isCancelled).toBe(true);
    expect(goesOn?.cancellation.isCancelled).toBe(false);
    expect(body.approvals.map(({ as }) => as).sort()).toEqual(['admin', 'safety']);
    const amended = entriesFrom(size).filter(({ kind }) => kind.startsWith('grant.'));
    expect(amended).toMatchObject([
      { kind: 'grant.amended', data: { inForce: true, version: 2, proposed: null } },
    ]);
    await Promise.all([cut?.end(), goesOn?.end()]);
  });

  it('by the lead is proposed like every other change', async () => {
    const grant = await makeActiveGrant(test, people);
    const { body } = await put(people.lead, grant, { tokenLifetimeSeconds: 600 });
    expect(body).toMatchObject({ version: 1, proposed: { version: 2, state: 'draft' } });
  });

  it('sends a proposed version that is under review back to its author', async () => {
    const { lead, admin, safety } = people;
    const grant = await makeActiveGrant(test, people);
    await put(lead, grant, longer(grant));
    await step(lead, grant, 'submit');
    await step(admin, grant, 'approve');
    const narrowed = await put(people.secondAdmin, grant, { tokenLifetimeSeconds: 600 });
    expect(narrowed.body).toMatchObject({
      version: 3,
      spec: { tokenLifetimeSeconds: 600 },
      proposed: { version: 2, state: 'returned', approvals: [] },
    });
    expect((await step(safety, grant, 'approve')).body.code).toBe('illegal_transition');
    // Its author sees that it would undo what was narrowed.
    const changes = narrowed.body.proposed?.changes ?? [];
    expect(changes.map(({ path, effect }) => `${path} ${effect}`).sort()).toEqual([
      'tokenLifetimeSeconds wider',
      'window.until wider',
    ]);
  });

  it('that changes nothing is refused', async () => {
    const grant = await makeActiveGrant(test, people);
    const { status, body } = await put(people.admin, grant, {});
    expect([status, body.code]).toEqual([400, 'invalid_request']);
  });
});

describe('widening', () => {
  it('takes the full approvals, while the old version stands', async () => {
    const { lead, admin, safety, researcher, secondResearcher } = people;
    const grant = await makeActiveGrant(test, people);
    const stream = await admitForTest(test, grant, researcher);
    const wider = {
      ...longer(grant),
      people: [...grant.spec.people, { person: secondResearcher.id }],
    };
    // Not even an admin widens alone.
    const size = test.broker.readers.logSize();
    expect((await put(people.secondAdmin, grant, wider)).body).toMatchObject({
      version: 1,
      state: 'active',
      proposed: { version: 2, state: 'draft' },
    });
    await step(lead, grant, 'submit');
    await step(safety, grant, 'return', { grounds: 'Why two days?' });
    await put(lead, grant, wider);
    await step(lead, grant, 'submit');
    expect((await step(people.secondAdmin, grant, 'approve')).body.code).toBe(
      'author_may_not_decide',
    );
    expect((await step(admin, grant, 'approve')).body).toMatchObject({
      version: 1,
      spec: { window: { until: grant.spec.window.until } },
      proposed: { version: 3, state: 'submitted', approvals: [{ as: 'admin' }] },
    });
    const access = { grant: grant.id, purpose: 'scheming' as const, run: 'one' };
    await expect(getToken(test, secondResearcher, access)).rejects.toThrow('person_not_on_grant');
    const done = await step(safety, grant, 'approve');
    expect(done.body).toMatchObject({
      version: 3,
      state: 'active',
      status: 'active',
      spec: { window: { until: LATER } },
      proposed: null,
    });
    // Same terms: nobody has to accept again but who is new.
    expect(done.body.acceptedBy).toEqual(expect.arrayContaining([lead.id, researcher.id]));
    expect(stream.cancellation.isCancelled).toBe(false);
    await stream.end();
    const entries = entriesFrom(size).filter(({ kind }) => kind.startsWith('grant.'));
    expect(entries.map(({ kind, data }) => [kind, data['of'], data['version']])).toEqual([
      ['grant.amended', undefined, 1],
      ['grant.submitted', 'proposal', 1],
      ['grant.returned', 'proposal', 1],
      ['grant.amended', undefined, 1],
      ['grant.submitted', 'proposal', 1],
      ['grant.approved', 'proposal', 1],
      ['grant.approved', 'proposal', 3],
    ]);
  });

  it('with new terms waits for the lead, and asks each person before their next token', async () => {
    const { lead, admin, safety, researcher } = people;
    const grant = await makeActiveGrant(test, people);
    const access = { grant: grant.id, purpose: 'scheming' as const, run: 'one' };
    const stream = await admitForTest(test, grant, researcher);
    await put(lead, grant, { terms: { version: '2', text: 'Results are deleted.' } });
    await step(lead, grant, 'submit');
    await step(admin, grant, 'approve');
    const approved = await step(safety, grant, 'approve');
    expect(approved.body).toMatchObject({ version: 1, proposed: { state: 'approved' } });
    await getToken(test, researcher, access);
    const termsDigest = approved.body.proposed?.termsDigest;
    expect((await step(researcher, grant, 'accept', { termsDigest })).body.code).toBe(
      'role_required',
    );
    const accepted = await step(lead, grant, 'accept', { termsDigest });
    expect(accepted.body).toMatchObject({ version: 2, proposed: null, acceptedBy: [lead.id] });
    expect(stream.cancellation.isCancelled).toBe(false);
    await expect(getToken(test, researcher, access)).rejects.toThrow('terms_not_accepted');
    await step(researcher, grant, 'accept', { termsDigest });
    await getToken(test, researcher, access);
    await stream.end();
  });

  it('can be withdrawn by its side alone, and be rejected; the grant stays as it is', async () => {
    const { lead, safety, admin } = people;
    const grant = await makeActiveGrant(test, people);
    await put(lead, grant, longer(grant));
    expect((await step(admin, grant, 'withdraw')).body.code).toBe('role_required');
    expect((await step(lead, grant, 'withdraw')).body).toMatchObject({
      state: 'active',
      version: 1,
      proposed: null,
    });
    expect((await step(lead, grant, 'withdraw')).body.code).toBe('illegal_transition');
    await put(lead, grant, longer(grant));
    await step(lead, grant, 'submit');
    expect((await step(safety, grant, 'reject', { grounds: 'No' })).body).toMatchObject({
      status: 'active',
      version: 1,
      proposed: null,
    });
  });

  it('ends with the grant', async () => {
    const { lead, safety } = people;
    const grant = await makeActiveGrant(test, people);
    await put(lead, grant, longer(grant));
    await step(lead, grant, 'submit');
    const revoked = await step(safety, grant, 'revoke', { grounds: 'Over' });
    expect(revoked.body).toMatchObject({ state: 'revoked', proposed: null });
    for (const name of ['approve', 'withdraw', 'submit'])
      expect((await step(name === 'approve' ? safety : lead, grant, name)).status).toBe(409);
  });
});

describe('a draft', () => {
  it('is withdrawn by the side that wrote it, for good', async () => {
    const { lead, admin } = people;
    const made = await api.post(lead, '/grants', grantInput(people));
    const grant = made.body as Grant;
    await step(lead, grant, 'submit');
    expect((await step(admin, grant, 'withdraw')).body.code).toBe('role_required');
    expect((await step(lead, grant, 'withdraw')).body).toMatchObject({
      state: 'withdrawn',
      status: 'withdrawn',
    });
    expect((await step(lead, grant, 'submit')).body.code).toBe('illegal_transition');
    expect((await put(lead, grant, {})).body.code).toBe('illegal_transition');
  });
});

describe('an approver', () => {
  const submitted = async (changes: Partial<GrantInput> = {}): Promise<Grant> => {
    const made = await api.post(people.lead, '/grants', grantInput(people, changes));
    await api.post(people.lead, `/grants/${made.body.id}/submit`);
    return made.body as Grant;
  };

  it('may narrow: the other approvals count no more, their own does', async () => {
    const { admin, safety } = people;
    const grant = await submitted();
    await step(admin, grant, 'approve');
    const narrower = { ...grant.spec, tokenLifetimeSeconds: 300 };
    const narrowed = await step(safety, grant, 'approve', { version: 1, spec: narrower });
    expect(narrowed.body).toMatchObject({
      state: 'submitted',
      version: 2,
      approvals: [{ personId: safety.id, as: 'safety' }],
      authorIds: [people.lead.id],
    });
    expect((await step(admin, grant, 'approve', { version: 1 })).body.code).toBe(
      'illegal_transition',
    );
    expect((await step(admin, grant, 'approve', { version: 2 })).body.state).toBe('approved');
  });

  it('may not widen, nor narrow nothing', async () => {
    const grant = await submitted();
    for (const changes of [longer(grant), {}, { title: 'Another' }]) {
      const spec = { ...grant.spec, ...changes };
      const answer = await step(people.safety, grant, 'approve', { spec });
      expect([answer.status, answer.body.code]).toEqual([409, 'not_narrower']);
    }
    expect(await show(grant)).toMatchObject({ version: 1, approvals: [] });
  });

  it('who was removed counts no more, wherever the version stands', async () => {
    const { admin, lead, host, safety } = people;
    const leaves = await makePerson(test.broker, admin.id, host.id, 'Max Leaves', ['safety']);
    const grant = await makeActiveGrant(test, people);
    await put(lead, grant, longer(grant));
    await step(lead, grant, 'submit');
    await step(leaves, grant, 'approve');
    await removePerson(test.broker, admin.id, leaves.id);
    const second = await step(admin, grant, 'approve');
    expect(second.body).toMatchObject({
      version: 1,
      proposed: { state: 'submitted', approvals: [{ personId: admin.id }] },
      // What was approved then stays as it was.
      approvals: [{ as: 'admin' }, { as: 'safety' }],
    });
    expect((await step(safety, grant, 'approve')).body).toMatchObject({ version: 2 });
  });
});

describe('If-Match', () => {
  it('names the state that may be changed', async () => {
    const { lead, admin } = people;
    const grant = await makeActiveGrant(test, people);
    const read = await api.get(lead, `/grants/${grant.id}`);
    const etag = read.headers['etag'] as string;
    expect(etag).toBe(`"${read.body.revision}"`);
    const amend = (match: string, seconds: number) =>
      api.call(
        admin,
        'put',
        `/grants/${grant.id}`,
        { ...grant.spec, tokenLifetimeSeconds: seconds },
        { 'if-match': match },
      );
    const first = await amend(etag, 800);
    expect(first.status).toBe(200);
    expect(first.headers['etag']).not.toBe(etag);
    for (const stale of [etag, `W/${first.headers['etag']}`, '"", "x"']) {
      const answer = await amend(stale, 700);
      expect([answer.status, answer.body.code]).toEqual([412, 'stale_version']);
    }
    expect((await amend('unquoted', 700)).body).toMatchObject({ code: 'invalid_request' });
    expect((await amend(`"other", ${first.headers['etag']}`, 700)).status).toBe(200);
    expect((await amend('*', 600)).status).toBe(200);
    const revoke = await api.call(
      admin,
      'post',
      `/grants/${grant.id}/revoke`,
      { grounds: 'Over' },
      { 'if-match': etag },
    );
    expect([revoke.status, revoke.body.code]).toEqual([412, 'stale_version']);
    expect((await show(grant)).state).toBe('active');
  });

  it('knows of changes that are no new version', async () => {
    const { lead, admin, safety } = people;
    const made = await api.post(lead, '/grants', grantInput(people));
    const submitted = await api.post(lead, `/grants/${made.body.id}/submit`);
    expect(submitted.headers['etag']).not.toBe(made.headers['etag']);
    const approve = (who: TestPerson, match: string) =>
      api.call(who, 'post', `/grants/${made.body.id}/approve`, {}, { 'if-match': match });
    const tag = submitted.headers['etag'] as string;
    expect((await approve(admin, tag)).status).toBe(200);
    expect((await approve(safety, tag)).status).toBe(412);
  });
});
