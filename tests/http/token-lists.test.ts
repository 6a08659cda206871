/** Lists of tokens and runs with their last use, and ending any selection of tokens. */
import request from 'supertest';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Grant } from '../../src/core/grants.ts';
import { getToken, makePerson, type People, type TestPerson } from '../support/people.ts';
import { startRunningBroker, HELLO, post, type RunningBroker } from '../support/running-broker.ts';
import { hold, openaiJson } from '../support/scripted-upstream.ts';

let running: RunningBroker;
let people: People;
beforeAll(async () => {
  running = await startRunningBroker();
  people = running.people;
});
afterAll(() => running.close());

interface Shown {
  id: string;
  personId: string;
  runId: string | null;
  runName: string | null;
  lastUsedAt: string | null;
}

/** A token, by its value and its id. */
interface Held {
  token: string;
  id: string;
}

async function holdToken(grant: Grant, person: TestPerson, run: string): Promise<Held> {
  const access = { grant: grant.id, purpose: 'hallucination', run } as const;
  const token = await getToken(running.test, person, access);
  const claims = Buffer.from(token.split('.')[1] ?? '', 'base64url').toString();
  return { token, id: (JSON.parse(claims) as { jti: string }).jti };
}

const list = async (who: TestPerson, path: string): Promise<Shown[]> => {
  const answer = await running.api.get(who, path);
  expect(answer.status).toBe(200);
  return answer.body.items as Shown[];
};
const ids = async (who: TestPerson, path: string): Promise<string[]> =>
  (await list(who, path)).map(({ id }) => id);

const revoke = (who: TestPerson, selection: object) =>
  running.api.post(who, '/tokens/revoke', selection);

const isLive = async ({ id }: Held): Promise<boolean> =>
  running.test.broker.policy.token(id)?.revokedAt === null;

let grant: Grant;
let otherGrant: Grant;
let first: TestPerson;
let second: TestPerson;
/** Oldest first: two of the first person for two runs, one of the second, one under the other grant. */
let tokens: [Held, Held, Held, Held];

beforeEach(async () => {
  first = await running.newResearcher();
  second = await running.newResearcher();
  grant = await running.grant({}, [first, second]);
  otherGrant = await running.grant({}, [first]);
  tokens = [
    await holdToken(grant, first, 'one'),
    await holdToken(grant, first, 'two'),
    await holdToken(grant, second, 'one'),
    await holdToken(otherGrant, first, 'one'),
  ];
});

const runOf = async (token: Held): Promise<string> =>
  (await list(people.lead, `/tokens?grant=${grant.id}`)).find(({ id }) => id === token.id)?.runId ??
  '';

describe('the list of tokens', () => {
  it('is newest first, and narrowed by everything that is given', async () => {
    const [a, b, c, d] = tokens.map(({ id }) => id);
    const run = await runOf(tokens[0]);
    for (const [query, expected] of [
      [`grant=${grant.id}`, [c, b, a]],
      [`run=${run}`, [c, a]],
      [`run=${run}&person=${second.id}`, [c]],
      [`person=${first.id}`, [d, b, a]],
      [`key=${first.kid}`, [d, b, a]],
      [`key=${first.kid}&grant=${otherGrant.id}`, [d]],
      [`key=${first.kid}&person=${second.id}`, []],
      [`grant=${grant.id}&lab=${people.partner.id}`, [c, b, a]],
      [`grant=${grant.id}&lab=${people.otherPartner.id}`, []],
      [`grant=${grant.id}&vouchedBy=person`, [c, b, a]],
      [`grant=${grant.id}&vouchedBy=lab`, []],
    ] as const)
      expect([query, await ids(people.admin, `/tokens?${query}`)]).toEqual([query, expected]);
  });

  it('says what each is good for, and whose key vouches for it', async () => {
    const [shown] = await list(people.lead, `/tokens?grant=${otherGrant.id}`);
    expect(shown).toMatchObject({
      kid: first.kid,
      vouchedBy: 'person',
      bound: null,
      narrowing: null,
      lastUsedAt: null,
      runName: 'one',
    });
    expect(shown).not.toHaveProperty('jkt');
  });

  it('keeps to the reach of whoever asks, whatever they ask for', async () => {
    const query = `/tokens?grant=${grant.id}&key=${first.kid}`;
    expect(await ids(first, query)).toHaveLength(2);
    for (const who of [people.partnerAuditor, people.auditor, people.outsideAuditor])
      expect(await ids(who, query)).toHaveLength(2);
    for (const who of [second, people.otherLead, people.otherResearcher])
      expect(await ids(who, query)).toEqual([]);
  });

  it.each(['key=', 'run=tok_1', 'vouchedBy=me', 'lab=x', 'kid=x'])(
    'refuses "%s"',
    async (query) => {
      const answer = await running.api.get(people.admin, `/tokens?${query}`);
      expect([answer.status, answer.body.code]).toEqual([400, 'invalid_request']);
    },
  );
});

describe('the last use', () => {
  it('of a token is shown at once, and outlives the broker’s memory', async () => {
    const { tokenUse } = running.test.broker;
    running.upstream.respond(openaiJson());
    const before = Date.now();
    await post(`${running.url}/v1/chat/completions`, tokens[0].token, HELLO);
    const shown = async () =>
      (await list(people.lead, `/tokens?grant=${grant.id}`)).find(({ id }) => id === tokens[0].id);
    const at = (await shown())?.lastUsedAt ?? '';
    expect(Date.parse(at)).toBeGreaterThanOrEqual(before);
    await tokenUse.flush();
    expect(tokenUse.lastUse(tokens[0].id)).toBeUndefined();
    expect((await shown())?.lastUsedAt).toBe(at);
    expect((await list(people.lead, `/tokens?run=${await runOf(tokens[1])}`))[0]?.lastUsedAt).toBe(
      null,
    );
  });

  it('is that of a token of the control API, too, and of no refused call', async () => {
    const me = await running.api.get(first, '/me');
    expect(me.status).toBe(200);
    const [control] = await list(first, `/tokens?person=${first.id}&live=true`);
    expect(control?.lastUsedAt).not.toBeNull();
    await revoke(people.lead, { token: tokens[0].id });
    const answer = await post(`${running.url}/v1/chat/completions`, tokens[0].token, HELLO);
    expect(answer.status).toBe(401);
    expect(running.test.broker.tokenUse.lastUse(tokens[0].id)).toBeUndefined();
  });

  it('of a run is that of its tokens: of those that the reader may see', async () => {
    const run = await runOf(tokens[0]);
    running.upstream.respond(openaiJson());
    const use = ({ token }: Held) => post(`${running.url}/v1/chat/completions`, token, HELLO);
    // The first began the run; the second sees their own part of it alone.
    const seen = async (who: TestPerson): Promise<[number, boolean]> => {
      const { body } = await running.api.get(who, `/runs/${run}`);
      return [body.liveTokens as number, body.lastUsedAt !== null];
    };
    await use(tokens[0]);
    for (const flush of [false, true]) {
      if (flush) await running.test.broker.tokenUse.flush();
      expect([await seen(people.lead), await seen(first), await seen(second)]).toEqual([
        [2, true],
        [2, true],
        [1, false],
      ]);
    }
    await use(tokens[2]);
    expect(await seen(second)).toEqual([1, true]);
    await running.test.broker.tokenUse.flush();
    expect(await seen(second)).toEqual([1, true]);
    await use(tokens[3]);
    const [two] = await list(people.lead, `/runs?grant=${grant.id}&person=${first.id}`);
    expect(two).toMatchObject({ name: 'two', lastUsedAt: null });
  });
});

describe('the list of runs', () => {
  it('is newest first, by grant, by who takes part, and by whether it is open', async () => {
    const names = async (who: TestPerson, query: string): Promise<string[]> => {
      const runs = (await list(who, `/runs?${query}`)) as unknown as { name: string }[];
      return runs.map(({ name }) => name);
    };
    const ofGrant = `grant=${grant.id}`;
    expect(await names(people.admin, ofGrant)).toEqual(['two', 'one']);
    expect(await names(people.lead, `${ofGrant}&person=${second.id}`)).toEqual(['one']);
    expect(await names(people.lead, `person=${first.id}`)).toEqual(['one', 'two', 'one']);
    expect(await names(second, ofGrant)).toEqual(['one']);
    expect(await names(second, `${ofGrant}&person=${first.id}`)).toEqual([]);
    for (const who of [people.otherLead, people.otherResearcher, people.researcher])
      expect(await names(who, ofGrant)).toEqual([]);
    await running.api.post(people.lead, `/runs/${await runOf(tokens[0])}/end`);
    expect(await names(people.lead, `${ofGrant}&open=true`)).toEqual(['two']);
    expect(await names(people.lead, ofGrant)).toEqual(['two', 'one']);
  });

  it('comes in pages, and shows one run alone', async () => {
    const page = await running.api.get(people.lead, `/runs?grant=${grant.id}&limit=1`);
    expect(page.body.items).toHaveLength(1);
    const next = `/runs?grant=${grant.id}&limit=1&cursor=${page.body.next as string}`;
    const rest = await running.api.get(people.lead, next);
    expect(rest.body.next).toBeNull();
    const [run] = rest.body.items as Shown[];
    expect(run).toMatchObject({
      labId: people.partner.id,
      grantId: grant.id,
      purpose: 'hallucination',
      name: 'one',
      personId: first.id,
      endedAt: null,
      liveTokens: 2,
    });
    expect((await running.api.get(people.lead, `/runs/${run?.id}`)).body).toEqual(run);
    for (const who of [people.otherLead, people.researcher]) {
      const answer = await running.api.get(who, `/runs/${run?.id}`);
      expect([answer.status, answer.body.code]).toEqual([404, 'not_found']);
    }
  });
});

describe('a selection of tokens', () => {
  const ending = async (): Promise<boolean[]> =>
    (await Promise.all(tokens.map(isLive))).map((live) => !live);

  /** Where nothing is ended, whoever mistyped is told. */
  const endedOf = (count: number): object => ({
    ended: count,
    cut: 0,
    warning: count > 0 ? null : (expect.stringContaining('typing errors') as string),
  });

  it.each<[string, () => object | Promise<object>, boolean[]]>([
    ['one token', () => ({ token: tokens[1].id }), [false, true, false, false]],
    ['a grant', () => ({ grant: grant.id }), [true, true, true, false]],
    ['a person', () => ({ person: first.id }), [true, true, false, true]],
    ['a run', async () => ({ run: await runOf(tokens[0]) }), [true, false, true, false]],
    ['a key', () => ({ key: second.kid }), [false, false, true, false]],
    [
      'a person under a grant',
      () => ({ grant: grant.id, person: first.id }),
      [true, true, false, false],
    ],
    [
      'a run and the key of one of its people',
      async () => ({ run: await runOf(tokens[0]), key: first.kid }),
      [true, false, false, false],
    ],
    [
      'a grant and a lab that is not its own',
      () => ({ grant: grant.id, lab: people.otherPartner.id }),
      [false, false, false, false],
    ],
  ])('by %s ends those that match, and no others', async (_name, selection, expected) => {
    const which = await selection();
    const answer = await revoke(people.safety, which);
    const count = expected.filter(Boolean).length;
    expect([answer.status, answer.body]).toEqual([200, endedOf(count)]);
    expect(await ending()).toEqual(expected);
    expect((await revoke(people.safety, which)).body).toEqual(endedOf(0));
  });

  it('by lab ends what the lab holds, that of the control API included', async () => {
    const lab = await running.api.post(people.admin, '/labs', { name: 'Short', kind: 'partner' });
    const { broker } = running.test;
    const lead = await makePerson(broker, people.admin.id, lab.body.id as string, 'Lo', ['lead']);
    const control = await getToken(running.test, lead);
    const answer = await revoke(people.admin, { lab: lab.body.id as string });
    expect(answer.body).toEqual(endedOf(1));
    const me = await request(running.url)
      .get('/api/v1/me')
      .set('authorization', `Bearer ${control}`);
    expect(me.body.code).toBe('token_revoked');
    expect(await ending()).toEqual([false, false, false, false]);
  });

  it.each<[string, () => TestPerson, boolean[]]>([
    ['an admin', () => people.admin, [true, true, true, false]],
    ['the lead', () => people.lead, [true, true, true, false]],
    ['a holder', () => second, [false, false, true, false]],
    ["the lab's auditor", () => people.partnerAuditor, [false, false, false, false]],
    ['an auditor of the host', () => people.auditor, [false, false, false, false]],
    ["another lab's lead", () => people.otherLead, [false, false, false, false]],
    ["another lab's researcher", () => people.otherResearcher, [false, false, false, false]],
  ])('reaches as far as %s does', async (_name, who, expected) => {
    const answer = await revoke(who(), { grant: grant.id });
    const count = expected.filter(Boolean).length;
    expect([answer.status, answer.body]).toEqual([200, endedOf(count)]);
    expect(await ending()).toEqual(expected);
  });

  it('stands in the log as one entry, with what was selected; nothing leaves none', async () => {
    await revoke(people.lead, { grant: grant.id, person: first.id });
    await revoke(people.lead, { grant: grant.id, person: first.id });
    const entries = running.entries({ kind: 'tokens.revoked', grant: grant.id });
    expect(entries).toMatchObject([
      {
        actor: { person: people.lead.id },
        ref: grant.id,
        lab: people.partner.id,
        person: first.id,
        data: {
          selection: { grant: grant.id, person: first.id },
          reach: 'lab',
          tokensEnded: 2,
        },
      },
    ]);
  });

  it.each(['key-1', 'x'.repeat(44), 'x'.repeat(42)])(
    'by a key that a lab calls "%s" takes the lab, since another may call one so',
    async (key) => {
      const refused = await revoke(people.admin, { key });
      expect([refused.status, refused.body.code]).toEqual([400, 'invalid_request']);
      expect(refused.body.detail).toContain('"lab" beside it');
      const lab = people.partner.id;
      expect((await revoke(people.admin, { key, lab })).body).toEqual(endedOf(0));
    },
  );

  it('must be one: nothing at all, or what is not known, is refused', async () => {
    for (const body of [{}, { purpose: 'bias' }, { grant: 'all' }, { key: '' }]) {
      const answer = await revoke(people.admin, body);
      expect([answer.status, answer.body.code]).toEqual([400, 'invalid_request']);
    }
    expect(await ending()).toEqual([false, false, false, false]);
  });

  it('cuts its streams before it is acknowledged, and says how many', async () => {
    const held = hold();
    running.upstream.respond(held);
    const body = { ...HELLO, stream: true };
    const open = async ({ token }: Held) => post(`${running.url}/v1/chat/completions`, token, body);
    const [hit, alsoHit, spared] = [
      await open(tokens[0]),
      await open(tokens[1]),
      await open(tokens[2]),
    ];
    const answer = await revoke(people.safety, { person: first.id });
    expect(answer.body).toMatchObject({ ended: 3, cut: 2 });
    for (const stream of [hit, alsoHit]) expect(await stream.text()).toContain('token_revoked');
    held.release();
    expect(await spared.text()).not.toContain('token_revoked');
    running.checkUpstream();
  });

  it('of one token says how many it cut, and the second time none', async () => {
    const held = hold();
    running.upstream.respond(held);
    const { token, id } = tokens[0];
    const body = { ...HELLO, stream: true };
    const stream = await post(`${running.url}/v1/chat/completions`, token, body);
    const end = async () => (await running.api.post(people.lead, `/tokens/${id}/revoke`)).body;
    const ended = await end();
    expect(ended).toMatchObject({ id, cut: 1 });
    expect(await stream.text()).toContain('token_revoked');
    expect(await end()).toEqual({ ...ended, cut: 0 });
    held.release();
  });
});
