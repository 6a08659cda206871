/** What a token is worth, by introspection (RFC 7662): at every moment what the gateway would make of it. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { handBackAccess, endRun } from '../../src/broker/end-access.ts';
import { issueOrder, liftOrder } from '../../src/broker/issue-order.ts';
import { stepGrant } from '../../src/broker/manage-grants.ts';
import { removePerson, removePersonKey } from '../../src/broker/manage-people.ts';
import { revokeToken } from '../../src/broker/revoke-token.ts';
import type { Grant } from '../../src/core/grants.ts';
import { orderSpecSchema } from '../../src/core/orders/order.ts';
import type { Selector } from '../../src/core/orders/selector.ts';
import { decodeJwt } from 'jose';
import { ASSERTION_TYPE } from '../../src/oauth/client-assertion.ts';
import { makeActiveGrant } from '../support/grants.ts';
import {
  getToken,
  makePeople,
  makePerson,
  signAssertion,
  type People,
  type TestPerson,
} from '../support/people.ts';
import { send, type RawAnswer } from '../support/refusals.ts';
import { SetClock } from '../support/set-clock.ts';
import { startTestBroker, type TestBroker } from '../support/test-broker.ts';

const clock = new SetClock();
let test: TestBroker;
let people: People;

beforeAll(async () => {
  test = await startTestBroker({ clock: clock.read });
  people = await makePeople(test);
});
afterAll(() => test.close());

/** Somebody new, the grant that they alone are on with their lead, and their token. */
let holder: TestPerson;
let grant: Grant;
let token: string;
let runId: string;

beforeEach(async () => {
  const { admin, partner, lead } = people;
  const name = `Hal Holder ${randomUUID()}`;
  holder = await makePerson(test.broker, admin.id, partner.id, name, ['researcher']);
  const roster = [{ person: lead.id }, { person: holder.id }];
  grant = await makeActiveGrant(test, people, { people: roster, tokenLifetimeSeconds: 600 });
  const { termsDigest } = grant;
  await stepGrant(test.broker, holder.id, grant.id, 'accept', { termsDigest });
  token = await getToken(test, holder, { grant: grant.id, purpose: 'scheming', run: 'a run' });
  runId = String(decodeJwt(token)['run']);
});

async function ask(path: string, who: TestPerson, presented: string): Promise<RawAnswer> {
  const form = {
    client_assertion_type: ASSERTION_TYPE,
    client_assertion: await signAssertion(test, who),
    token: presented,
  };
  return send(test, { path, form });
}

const introspect = (who: TestPerson, presented = token): Promise<RawAnswer> =>
  ask('/oauth/introspect', who, presented);

/** Not a character more where it is not: nothing tells an unknown token from one that has ended. */
async function isActive(who: TestPerson, presented = token): Promise<boolean> {
  const { status, text, body, headers } = await introspect(who, presented);
  expect([status, headers['cache-control']]).toEqual([200, 'no-store']);
  if (text === '{"active":false}') return false;
  expect(body).toMatchObject({ active: true, exp: decodeJwt(presented).exp });
  return true;
}

describe('a token that is good', () => {
  it('is active for its holder, their lead and the host, and for nobody else', async () => {
    const { lead, admin, safety, auditor, outsideAuditor, partnerAuditor } = people;
    for (const who of [holder, lead, admin, safety, auditor, outsideAuditor, partnerAuditor])
      expect(await isActive(who)).toBe(true);
    const { otherLead, otherResearcher, researcher } = people;
    for (const who of [otherLead, otherResearcher, researcher])
      expect(await isActive(who)).toBe(false);
  });

  it('is not active in other letters, with more to it, or with less', async () => {
    const [header = '', payload = '', signature = ''] = token.split('.');
    for (const presented of [
      `${token}A`,
      `${token}.`,
      `${header}.${payload}.`,
      `${header}.${payload}.${signature.slice(0, -4)}AAAA`,
      `${payload}.${header}.${signature}`,
      'nonsense',
      'x'.repeat(9 * 1024),
      await signAssertion(test, holder),
    ])
      expect(await isActive(holder, presented)).toBe(false);
    expect(await isActive(holder)).toBe(true);
  });
});

/** Each way in which a token ends for good. */
const ENDS: [string, () => Promise<unknown>][] = [
  [
    'it has expired',
    async () => {
      const { exp = 0 } = decodeJwt(token);
      clock.now = exp * 1000 - 1;
      expect(await isActive(people.admin)).toBe(true);
      clock.now += 1;
    },
  ],
  ['its holder revoked it', () => ask('/oauth/revoke', holder, token)],
  [
    'the lead revoked it',
    () => revokeToken(test.broker, people.lead.id, String(decodeJwt(token).jti)),
  ],
  ['its run was handed back', () => endRun(test.broker, holder.id, runId)],
  [
    'its holder handed the grant back',
    () => handBackAccess(test.broker, holder.id, { personId: holder.id, grantId: grant.id }),
  ],
  [
    'the lead handed their access back',
    () => handBackAccess(test.broker, people.lead.id, { personId: holder.id }),
  ],
  ['its holder was removed', () => removePerson(test.broker, people.lead.id, holder.id)],
  [
    'the key that it was got with was removed',
    () => removePersonKey(test.broker, people.lead.id, holder.id, holder.kid),
  ],
  [
    'the grant was revoked',
    () => stepGrant(test.broker, people.safety.id, grant.id, 'revoke', { grounds: 'Over' }),
  ],
  [
    'the grant was closed',
    () => stepGrant(test.broker, people.lead.id, grant.id, 'close', { comment: 'Done' }),
  ],
];

describe('a token that is not good any more, because', () => {
  it.each(ENDS)('%s', async (_name, end) => {
    expect(await isActive(people.admin)).toBe(true);
    await end();
    for (const who of [people.admin, people.lead]) expect(await isActive(who)).toBe(false);
  });

  it('the window of the grant ended', async () => {
    const until = clock.now + 10_000;
    const short = await makeActiveGrant(test, people, {
      window: {
        from: new Date(clock.now - 60_000).toISOString(),
        until: new Date(until).toISOString(),
      },
    });
    const access = { grant: short.id, purpose: 'scheming', run: 'short' } as const;
    const held = await getToken(test, people.researcher, access);
    expect(await isActive(people.admin, held)).toBe(true);
    clock.now = until;
    expect(await isActive(people.admin, held)).toBe(false);
  });
});

describe('a token that an order stops', () => {
  it.each<[string, () => Selector]>([
    ['everything', () => ({ all: true })],
    ['the grant', () => ({ grant: grant.id })],
    ['the lab', () => ({ lab: people.partner.id })],
    ['the person', () => ({ person: holder.id })],
    ['every model of the grant', () => ({ endpoint: 'demo' })],
  ])('%s: is inactive until the order is lifted', async (_name, selector) => {
    const spec = orderSpecSchema.parse({ selector: selector(), grounds: 'Look' });
    const { order } = await issueOrder(test.broker, people.safety.id, spec, true);
    for (const who of [holder, people.admin]) expect(await isActive(who)).toBe(false);
    await liftOrder(test.broker, people.admin.id, order.id, 'Seen');
    expect(await isActive(holder)).toBe(true);
  });
});

describe('revocation (RFC 7009)', () => {
  it("of another's token is answered like any, and changes nothing", async () => {
    // Whoever may end it by its id does not own it: the standard's way is the owner's alone.
    for (const who of [people.otherResearcher, people.researcher, people.lead, people.admin]) {
      const { status, text } = await ask('/oauth/revoke', who, token);
      expect([status, text]).toEqual([200, '']);
      expect(await isActive(holder)).toBe(true);
    }
  });

  it('of a token twice is answered alike, and recorded once', async () => {
    for (let i = 0; i < 2; i += 1) {
      const { status, text } = await ask('/oauth/revoke', holder, token);
      expect([status, text]).toEqual([200, '']);
    }
    const id = String(decodeJwt(token).jti);
    const entries = test.broker.readers.listEntries({ from: 0, limit: 10, ref: id });
    expect(entries.map(({ bytes }) => JSON.parse(bytes.toString()).kind)).toEqual([
      'token.issued',
      'token.revoked',
    ]);
  });
});
