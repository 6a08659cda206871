/** What an invitation rests on comes to an end: its sender, its grant. And what links cost those who guess. */
import request, { type Response } from 'supertest';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Grant } from '../../src/core/grants.ts';
import { Api } from '../support/api.ts';
import { makeActiveGrant } from '../support/grants.ts';
import { invite, join, preview, type Invited } from '../support/invitations.ts';
import {
  makeKey,
  makePeople,
  makePerson,
  type People,
  type TestPerson,
} from '../support/people.ts';
import { startTestBroker, type TestBroker } from '../support/test-broker.ts';

const HOUR = 3_600_000;

let test: TestBroker;
let people: People;
let api: Api;
/** What the broker's clock is ahead of the machine's. */
let ahead = 0;
let made = 0;

beforeAll(async () => {
  test = await startTestBroker({ clock: () => Date.now() + ahead });
  people = await makePeople(test);
});
afterAll(() => test.close());
beforeEach(() => {
  ahead = 0;
  api = new Api(test);
});

const asked = (changes: object = {}): object => {
  made += 1;
  return { lab: people.partner.id, name: `New ${made}`, roles: ['researcher'], ...changes };
};

const codeOf = ({ status, body }: Response): [number, string] => [
  status,
  (body as { code: string }).code,
];

const newLead = (): Promise<TestPerson> => {
  made += 1;
  return makePerson(test.broker, people.admin.id, people.partner.id, `Lead ${made}`, ['lead']);
};

interface Entry {
  kind: string;
  ref?: string;
  reason?: string;
  [name: string]: unknown;
}

const withdrawals = (size: number): Entry[] =>
  test.broker.readers
    .listEntries({ from: size, limit: 200, kind: 'person.invitation_withdrawn' })
    .map(({ bytes }) => JSON.parse(String(bytes)) as Entry);

const stateOf = async ({ id }: Invited): Promise<[string, string | null]> => {
  const { body } = await api.get(people.lead, `/invitations/${id}`);
  return [body.state as string, body.withdrawnBecause as string | null];
};

async function openIds(): Promise<string[]> {
  const list = await api.get(people.lead, '/invitations?open=true&limit=200');
  return (list.body.items as { id: string }[]).map(({ id }) => id);
}

/** The lead and the first researcher, and room for one more. */
const grantWithOnePlace = (): Promise<Grant> => makeActiveGrant(test, people, { maxPeople: 3 });

describe('with whoever sent it', () => {
  it.each<[string, (lead: TestPerson) => Promise<unknown>, string]>([
    ['removed', (lead) => api.post(people.admin, `/people/${lead.id}/remove`), 'person_removed'],
    [
      'gone by themselves',
      (lead) => api.post(lead, `/people/${lead.id}/hand-back`),
      'access_handed_back',
    ],
  ])('%s, an open invitation is withdrawn and its place free', async (_name, leave, reason) => {
    const lead = await newLead();
    const grant = await grantWithOnePlace();
    const used = await invite(api, lead, asked());
    await join(test, used);
    const open = await invite(api, lead, asked({ grant: grant.id }));
    const others = await invite(api, people.lead, asked());
    const size = test.broker.readers.logSize();
    await leave(lead);
    expect(withdrawals(size)).toMatchObject([
      { ref: open.id, grant: grant.id, lab: people.partner.id, reason },
    ]);
    expect(await stateOf(open)).toEqual(['withdrawn', reason]);
    expect(await stateOf(used)).toEqual(['joined', null]);
    const ids = await openIds();
    expect([ids.includes(open.id), ids.includes(others.id)]).toEqual([false, true]);
    const { termsDigest } = grant;
    for (const answer of [
      await preview(test, open),
      await join(test, open, makeKey(), { termsDigest }),
    ]) {
      expect(codeOf(answer)).toEqual([403, 'invitation_not_valid']);
      expect(answer.body.detail).toContain('may not invite people to this lab any more');
    }
    await invite(api, people.lead, asked({ grant: grant.id }));
  });

  it('who handed one grant back only, it is as good as before', async () => {
    const lead = await newLead();
    const grant = await makeActiveGrant(test, { ...people, lead }, { maxPeople: 3 });
    const open = await invite(api, lead, asked());
    await api.post(lead, `/people/${lead.id}/hand-back`, { grant: grant.id });
    expect(await stateOf(open)).toEqual(['open', null]);
  });
});

describe('with its grant', () => {
  it.each<[string, (id: string) => Promise<Response>, string]>([
    [
      'revoked',
      (id) => api.post(people.admin, `/grants/${id}/revoke`, { grounds: 'Test' }),
      'grant_revoked',
    ],
    ['closed', (id) => api.post(people.lead, `/grants/${id}/close`), 'grant_closed'],
  ])('%s, an open invitation is withdrawn, and says why', async (_name, end, reason) => {
    const grant = await grantWithOnePlace();
    const open = await invite(api, people.lead, asked({ grant: grant.id }));
    const elsewhere = await invite(api, people.lead, asked());
    const size = test.broker.readers.logSize();
    expect((await end(grant.id)).status).toBe(200);
    expect(withdrawals(size)).toMatchObject([{ ref: open.id, grant: grant.id, reason }]);
    expect(await stateOf(open)).toEqual(['withdrawn', reason]);
    expect(await stateOf(elsewhere)).toEqual(['open', null]);
    expect(codeOf(await preview(test, open))).toEqual([403, reason]);
    const again = await api.post(people.lead, `/invitations/${open.id}/withdraw`);
    expect(codeOf(again)).toEqual([409, 'already_decided']);
  });

  it('over by its window, it is shown as expired, and listed as open no more', async () => {
    const grant = await grantWithOnePlace();
    const open = await invite(api, people.lead, asked({ grant: grant.id }));
    expect(await openIds()).toContain(open.id);
    ahead = 25 * HOUR;
    api = new Api(test);
    expect(await stateOf(open)).toEqual(['expired', null]);
    expect(await openIds()).not.toContain(open.id);
    expect(codeOf(await preview(test, open))).toEqual([403, 'grant_expired']);
  });

  it('a page of open ones is full where there are enough, whatever lies between', async () => {
    const before = await openIds();
    const oldest = await invite(api, people.lead, asked());
    const grant = await makeActiveGrant(test, people, { maxPeople: 9 });
    for (let i = 0; i < 5; i += 1) await invite(api, people.lead, asked({ grant: grant.id }));
    const newest = await invite(api, people.lead, asked());
    ahead = 25 * HOUR;
    api = new Api(test);
    const page = await api.get(people.lead, '/invitations?open=true&limit=2');
    const ids = (page.body.items as { id: string }[]).map(({ id }) => id);
    expect(ids).toEqual([newest.id, oldest.id]);
    expect(page.body.next === null).toBe(before.length === 0);
  });
});

it('withdrawing takes an admin, a safety officer, or the lead of the lab', async () => {
  for (const [who, status] of [
    [people.safety, 200],
    [people.admin, 200],
    [people.lead, 200],
    [people.otherLead, 404],
    [people.researcher, 403],
    [people.partnerAuditor, 403],
    [people.auditor, 403],
  ] as const) {
    const { id } = await invite(api, people.lead, asked());
    const answer = await api.post(who, `/invitations/${id}/withdraw`);
    expect([who.name, answer.status]).toEqual([who.name, status]);
  }
});

describe('whoever guesses', () => {
  const GUESSES = 6;
  const other = { id: `inv_${'0'.repeat(26)}`, secret: 'A'.repeat(43) };
  let slow: TestBroker;
  let invited: Invited;
  beforeEach(async () => {
    slow = await startTestBroker({
      tokens: { failures: { longestHoldSeconds: 1, perAddressPerMinute: GUESSES } },
    });
    const { lead, partner } = await makePeople(slow);
    const body = { lab: partner.id, name: 'New', roles: ['researcher'] };
    invited = await invite(new Api(slow), lead, body);
    return () => slow.close();
  });

  it('is slowed by address, and then refused unheard', async () => {
    const held: number[] = [];
    for (let i = 0; i < GUESSES; i += 1) {
      const began = performance.now();
      const answer = await (i % 2 === 0 ? preview(slow, other) : join(slow, other));
      held.push(performance.now() - began);
      expect(codeOf(answer)).toEqual([403, 'invitation_not_valid']);
    }
    // The first few are answered at once: anybody mistypes.
    for (const time of held.slice(3)) expect(time).toBeGreaterThan(100);
    expect(held[5]).toBeGreaterThan(held[3] as number);
    const refused = await preview(slow, invited);
    expect(codeOf(refused)).toEqual([429, 'too_many_failures']);
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
  });

  it('holds up nobody who has the link, and no wrong proof counts as a guess', async () => {
    for (let i = 0; i < GUESSES - 1; i += 1) await preview(slow, other);
    for (let i = 0; i < 3; i += 1) {
      const answer = await join(slow, invited, makeKey(), { proof: 'nonsense' });
      expect(codeOf(answer)).toEqual([400, 'invalid_request']);
    }
    expect((await join(slow, invited)).status).toBe(201);
  });
});

it('what is malformed at a public route is counted', async () => {
  const { unauthenticated, readers } = test.broker;
  await unauthenticated.flush();
  const size = readers.logSize();
  const path = `/api/v1/invitations/inv_${'0'.repeat(26)}/preview`;
  const post = () => request(test.url).post(path);
  await post().send({ secret: 'x', foo: 1 });
  await post().set('content-type', 'application/json').send('{');
  await post().set('content-type', 'application/x-www-form-urlencoded').send('a=b');
  await request(test.url).get('/healthz?a=b');
  expect(readers.logSize()).toBe(size);
  await unauthenticated.flush();
  const [entry] = readers.listEntries({ from: size, limit: 1 });
  expect(JSON.parse(String(entry?.bytes))).toMatchObject({
    kind: 'request.unauthenticated',
    data: {
      counts: {
        'control invalid_request': 2,
        'control invalid_json': 1,
        'control unsupported_media_type': 1,
      },
    },
  });
});
