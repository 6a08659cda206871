import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { Api } from '../support/api.ts';
import { grantInput, makeActiveGrant, type GrantInput } from '../support/grants.ts';
import { admitForTest } from '../support/live-request.ts';
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

async function draft(changes: Partial<GrantInput> = {}, by = people.lead): Promise<string> {
  const answer = await api.post(by, '/grants', grantInput(people, changes));
  expect(answer.body).toMatchObject({ state: 'draft' });
  return answer.body.id as string;
}

async function submitted(changes: Partial<GrantInput> = {}, by = people.lead): Promise<string> {
  const id = await draft(changes, by);
  expect((await api.post(by, `/grants/${id}/submit`)).status).toBe(200);
  return id;
}

describe('the life of a grant', () => {
  it('goes from draft through two approvals and acceptance to revocation', async () => {
    const { lead, researcher, admin, safety } = people;
    const created = await api.post(lead, '/grants', grantInput(people));
    expect(created.status).toBe(201);
    expect(created.body).toMatchObject({
      state: 'draft',
      status: 'draft',
      statusReason: { code: 'grant_not_active' },
      version: 1,
      lab: people.partner.id,
      authorIds: [lead.id],
      approvals: [],
    });
    const { id } = created.body as { id: string };
    const terms = createHash('sha256').update(grantInput(people).terms.text).digest('hex');
    expect(created.body.termsDigest).toBe(terms);

    const steps = async (who: typeof lead, step: string, body?: object) => {
      const answer = await api.post(who, `/grants/${id}/${step}`, body);
      expect(answer.status).toBe(200);
      return answer.body as Record<string, unknown>;
    };
    expect(await steps(lead, 'submit')).toMatchObject({ state: 'submitted' });
    expect(await steps(safety, 'return', { grounds: 'Say which tools.' })).toMatchObject({
      state: 'returned',
    });
    const amended = await api.call(
      lead,
      'put',
      `/grants/${id}`,
      grantInput(people, { title: 'Second' }),
    );
    expect(amended.body).toMatchObject({ version: 2, spec: { title: 'Second' } });
    await steps(lead, 'submit', { version: 2 });
    expect(await steps(admin, 'approve', { version: 2, comment: 'Fine.' })).toMatchObject({
      state: 'submitted',
      approvals: [{ personId: admin.id, as: 'admin' }],
    });
    expect(await steps(safety, 'approve')).toMatchObject({ state: 'approved' });
    expect(await steps(lead, 'accept', { termsDigest: terms })).toMatchObject({
      state: 'active',
      status: 'active',
      statusReason: null,
      acceptedForLabBy: lead.id,
    });
    expect(await steps(researcher, 'accept', { termsDigest: terms })).toMatchObject({
      acceptedBy: [lead.id, researcher.id],
    });
    expect(await steps(safety, 'revoke', { grounds: 'Finished early.' })).toMatchObject({
      state: 'revoked',
      status: 'revoked',
      statusReason: { code: 'grant_revoked' },
    });
    const shown = await api.get(researcher, `/grants/${id}`);
    expect(shown.body).toMatchObject({ status: 'revoked', version: 2 });
    expect(shown.body.updatedAt).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  });

  it('shows what is enforced: scheduled, suspended, expired', async () => {
    const at = (ms: number): string => new Date(Date.now() + ms).toISOString();
    const later = await makeActiveGrant(test, people, {
      window: { from: at(3_600_000), until: at(7_200_000) },
    });
    const over = await makeActiveGrant(test, people, {
      window: { from: at(-7_200_000), until: at(1_500) },
    });
    const stopped = await makeActiveGrant(test, people);
    const order = await api.post(people.safety, '/orders', {
      selector: { grant: stopped.id },
      grounds: 'To be looked at',
    });
    const show = async (id: string): Promise<unknown> =>
      (await api.get(people.lead, `/grants/${id}`)).body;
    expect(await show(later.id)).toMatchObject({
      state: 'active',
      status: 'scheduled',
      statusReason: { code: 'grant_not_started' },
    });
    await vi.waitFor(
      async () =>
        expect(await show(over.id)).toMatchObject({
          status: 'expired',
          statusReason: { code: 'grant_expired' },
        }),
      { timeout: 10_000 },
    );
    const tooLate = await draft({ window: { from: at(-7_200_000), until: at(-3_600_000) } });
    const answer = await api.post(people.lead, `/grants/${tooLate}/submit`);
    expect([answer.status, answer.body.code]).toEqual([403, 'grant_expired']);
    expect(await show(stopped.id)).toMatchObject({
      status: 'suspended',
      statusReason: { code: 'grant_suspended', orders: [order.body.id] },
    });
  });

  it('can be handed back by its lead', async () => {
    const grant = await makeActiveGrant(test, people);
    const answer = await api.post(people.lead, `/grants/${grant.id}/close`);
    expect(answer.body).toMatchObject({ state: 'closed', statusReason: { code: 'grant_closed' } });
  });
});

describe('two people', () => {
  it('an author may not approve what they wrote, not even after amending it away', async () => {
    const { admin, secondAdmin, safety } = people;
    const id = await submitted({}, admin);
    const own = await api.post(admin, `/grants/${id}/approve`);
    expect([own.status, own.body.code]).toEqual([403, 'author_may_not_decide']);
    await api.post(safety, `/grants/${id}/return`, { grounds: 'Again' });
    await api.call(
      secondAdmin,
      'put',
      `/grants/${id}`,
      grantInput(people, { title: 'By another' }),
    );
    await api.post(secondAdmin, `/grants/${id}/submit`);
    for (const author of [admin, secondAdmin]) {
      const answer = await api.post(author, `/grants/${id}/approve`);
      expect([answer.status, answer.body.code]).toEqual([403, 'author_may_not_decide']);
    }
  });

  it('one person cannot give both approvals, nor two people the same one', async () => {
    const { admin, secondAdmin } = people;
    const id = await submitted();
    expect((await api.post(admin, `/grants/${id}/approve`)).status).toBe(200);
    const again = await api.post(admin, `/grants/${id}/approve`);
    expect([again.status, again.body.code]).toEqual([409, 'already_decided']);
    const same = await api.post(secondAdmin, `/grants/${id}/approve`);
    expect([same.status, same.body.code]).toEqual([409, 'approval_not_needed']);
    expect((await api.get(people.lead, `/grants/${id}`)).body.state).toBe('submitted');
  });

  it('approvals at the same moment take effect exactly once', async () => {
    const { admin, secondAdmin, safety } = people;
    for (let round = 0; round < 5; round += 1) {
      const id = await submitted();
      const callers = [admin, secondAdmin, safety, admin, secondAdmin, safety];
      const answers = await Promise.all(
        callers.map((who) => api.post(who, `/grants/${id}/approve`)),
      );
      expect(answers.filter((answer) => answer.status === 200)).toHaveLength(2);
      const { approvals, state } = (await api.get(admin, `/grants/${id}`)).body as {
        approvals: { as: string; personId: string }[];
        state: string;
      };
      expect(state).toBe('approved');
      expect(approvals.map((approval) => approval.as).sort()).toEqual(['admin', 'safety']);
      expect(new Set(approvals.map((approval) => approval.personId)).size).toBe(2);
      const entries = test.broker.readers.listEntries({
        from: 0,
        limit: 50,
        ref: id,
        kind: 'grant.approved',
      });
      expect(entries).toHaveLength(2);
    }
  });

  it('an approval of a version that has moved on is refused', async () => {
    const { lead, safety, admin } = people;
    const id = await submitted();
    await api.post(safety, `/grants/${id}/return`, { grounds: 'Narrow it' });
    await api.call(lead, 'put', `/grants/${id}`, grantInput(people, { title: 'Wider' }));
    await api.post(lead, `/grants/${id}/submit`);
    const stale = await api.post(admin, `/grants/${id}/approve`, { version: 1 });
    expect([stale.status, stale.body.code]).toEqual([409, 'illegal_transition']);
  });
});

describe('illegal steps', () => {
  it.each([
    ['approve', 'admin', {}],
    ['reject', 'safety', { grounds: 'No' }],
    ['return', 'safety', { grounds: 'No' }],
    ['revoke', 'safety', { grounds: 'No' }],
    ['close', 'lead', {}],
    ['accept', 'lead', { termsDigest: '0'.repeat(64) }],
  ] as const)('a draft takes no %s', async (step, who, body) => {
    const id = await draft();
    const answer = await api.post(people[who], `/grants/${id}/${step}`, body);
    expect([answer.status, answer.body.code]).toEqual([409, 'illegal_transition']);
    expect((await api.get(people.lead, `/grants/${id}`)).body.state).toBe('draft');
  });

  it('nothing brings a revoked grant back', async () => {
    const { id, termsDigest } = await makeActiveGrant(test, people);
    const { lead, admin, safety } = people;
    await api.post(safety, `/grants/${id}/revoke`, { grounds: 'Over' });
    const tries = [
      api.post(lead, `/grants/${id}/submit`),
      api.post(admin, `/grants/${id}/approve`),
      api.post(lead, `/grants/${id}/accept`, { termsDigest }),
      api.call(lead, 'put', `/grants/${id}`, grantInput(people)),
      api.post(safety, `/grants/${id}/revoke`, { grounds: 'Twice' }),
    ];
    for (const answer of await Promise.all(tries))
      expect([answer.status, answer.body.code]).toEqual([409, 'illegal_transition']);
  });

  it.each(['return', 'reject', 'revoke'])('%s takes grounds', async (step) => {
    const id = await submitted();
    for (const body of [{}, { grounds: '  ' }]) {
      const answer = await api.post(people.safety, `/grants/${id}/${step}`, body);
      expect([answer.status, answer.body.code]).toEqual([400, 'invalid_request']);
      expect(answer.body.errors).toMatchObject([{ in: 'body', path: 'grounds' }]);
    }
  });

  it('terms are accepted by their digest alone', async () => {
    const id = await submitted();
    await api.post(people.admin, `/grants/${id}/approve`);
    await api.post(people.safety, `/grants/${id}/approve`);
    const wrong = await api.post(people.lead, `/grants/${id}/accept`, {
      termsDigest: 'f'.repeat(64),
    });
    expect([wrong.status, wrong.body.code, wrong.body.param]).toEqual([
      400,
      'invalid_request',
      'termsDigest',
    ]);
    const early = await api.post(people.researcher, `/grants/${id}/accept`, {
      termsDigest: 'f'.repeat(64),
    });
    expect([early.status, early.body.code]).toEqual([409, 'illegal_transition']);
  });

  it('a grant names only endpoints and models that the configuration offers, and the refusal is on record', async () => {
    for (const endpoints of [
      [{ endpoint: 'nowhere', models: ['model-a-1'] }],
      [{ endpoint: 'demo', models: ['model-z-9'] }],
    ]) {
      const size = test.broker.readers.logSize();
      const answer = await api.post(people.lead, '/grants', grantInput(people, { endpoints }));
      expect([answer.status, answer.body.code, answer.body.param]).toEqual([
        400,
        'invalid_request',
        'endpoints',
      ]);
      const entries = test.broker.readers.listEntries({ from: size, limit: 10 });
      expect(entries.map(({ bytes }) => JSON.parse(String(bytes)).kind)).toEqual(['action.denied']);
    }
  });

  it('a roster holds people of the partner lab only', async () => {
    const answer = await api.post(
      people.lead,
      '/grants',
      grantInput(people, { people: [{ person: people.otherResearcher.id }] }),
    );
    expect([answer.status, answer.body.param]).toEqual([400, 'people']);
  });
});

describe('lists', () => {
  it('come in pages, newest first, and lead to every grant exactly once', async () => {
    const made = [await draft(), await draft(), await draft()];
    const seen: string[] = [];
    let next: string | null = null;
    do {
      const cursor: string = next === null ? '' : `&cursor=${encodeURIComponent(next)}`;
      const page = await api.get(people.lead, `/grants?limit=2&state=draft${cursor}`);
      expect(page.status).toBe(200);
      expect(page.body.items.length).toBeLessThanOrEqual(2);
      seen.push(...page.body.items.map((grant: { id: string }) => grant.id));
      next = page.body.next as string | null;
    } while (next !== null);
    expect(new Set(seen).size).toBe(seen.length);
    expect(seen).toEqual([...seen].sort().reverse());
    expect(seen).toEqual(expect.arrayContaining(made));
  });

  it('can be narrowed to a lab', async () => {
    const own = await api.get(people.admin, `/grants?lab=${people.partner.id}`);
    expect(own.body.items.length).toBeGreaterThan(0);
    const other = await api.get(people.admin, `/grants?lab=${people.otherPartner.id}`);
    expect(other.body.items).toEqual([]);
  });
});

describe('usage', () => {
  it('shows what was charged and what is left; a researcher sees no colleague', async () => {
    const { lead, researcher } = people;
    const grant = await makeActiveGrant(test, people, {
      budgets: { requests: 10, tokens: 1000, tokensPerDay: 500, spendUsd: 2 },
      perPerson: { budgets: { requests: 4 }, limits: {} },
    });
    const empty = await api.get(lead, `/grants/${grant.id}/usage`);
    expect(empty.body).toMatchObject({
      grant: grant.id,
      total: { requestsSettled: 0, tokensReserved: 0 },
      left: {
        requests: { cap: 10, left: 10 },
        tokens: { cap: 1000, left: 1000 },
        requestsPerDay: null,
        tokensPerDay: { cap: 500, left: 500 },
        spendUsd: { cap: 2, left: 2 },
      },
    });
    expect(empty.body.people).toHaveLength(2);

    const amount = { tokens: 120, spendNanoUsd: 500_000_000 };
    const inFlight = await admitForTest(test, grant, researcher, amount);
    const used = await api.get(lead, `/grants/${grant.id}/usage`);
    expect(used.body).toMatchObject({
      total: { requestsReserved: 1, tokensReserved: 120, spendReservedNanoUsd: 500_000_000 },
      lastDay: { requests: 1, tokens: 120 },
      left: {
        requests: { left: 9 },
        tokens: { left: 880 },
        tokensPerDay: { left: 380 },
        spendUsd: { left: 1.5 },
      },
    });
    const own = await api.get(researcher, `/grants/${grant.id}/usage`);
    expect(own.body.people).toMatchObject([
      {
        personId: researcher.id,
        charged: { tokensReserved: 120 },
        left: { requests: { cap: 4, left: 3 }, tokens: null },
      },
    ]);
    await inFlight.end();
    const after = await api.get(lead, `/grants/${grant.id}/usage`);
    expect(after.body.left).toMatchObject({ requests: { left: 10 }, tokensPerDay: { left: 500 } });
  });
});
