import { generateKeyPairSync } from 'node:crypto';
import { decodeJwt } from 'jose';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Api } from '../support/api.ts';
import { makeActiveGrant } from '../support/grants.ts';
import {
  exchange,
  makeIdentity,
  signLabAssertion,
  tokenFor,
  type TestIdentity,
} from '../support/lab-identities.ts';
import { getToken, makeKey, makePeople, makePerson, type People } from '../support/people.ts';
import { withStrayBits } from '../support/stray-bits.ts';
import { startTestBroker, type TestBroker } from '../support/test-broker.ts';

let test: TestBroker;
let people: People;
let api: Api;
let identity: TestIdentity;

beforeAll(async () => {
  test = await startTestBroker();
  people = await makePeople(test);
  api = new Api(test);
  identity = makeIdentity('https://id.partner.example');
});
afterAll(() => test.close());
afterEach(async () => {
  for (const lab of [people.partner, people.otherPartner, people.auditLab])
    await api.post(people.admin, `/labs/${lab.id}/identity/remove`);
});

const pathOf = (lab = people.partner): string => `/labs/${lab.id}/identity`;
const set = (body: object = identity.input, lab = people.partner) =>
  api.call(people.admin, 'put', pathOf(lab), body);
const remove = (who = people.admin) => api.post(who, `${pathOf()}/remove`);
const me = async (token: string): Promise<number> =>
  (await fetch(`${test.url}/api/v1/me`, { headers: { authorization: `Bearer ${token}` } })).status;

function entriesSince(from: number): Record<string, unknown>[] {
  return test.broker.readers
    .listEntries({ from, limit: 100 })
    .map(({ bytes }) => JSON.parse(String(bytes)) as Record<string, unknown>);
}

describe('the identity of a lab', () => {
  it('is registered by an admin of the host, shown to the lab, and on record', async () => {
    const size = test.broker.readers.logSize();
    const answer = await set();
    expect(answer.status).toBe(200);
    const shown = {
      issuer: identity.issuer,
      jwksUrl: null,
      kids: ['key-1'],
      setAt: expect.stringMatching(/Z$/) as string,
    };
    expect(answer.body).toMatchObject({ id: people.partner.id, identity: shown });
    expect((await api.get(people.lead, `/labs/${people.partner.id}`)).body).toEqual(answer.body);
    expect((await api.get(people.otherLead, `/labs/${people.partner.id}`)).status).toBe(404);
    expect(entriesSince(size)).toContainEqual(
      expect.objectContaining({
        kind: 'lab.identity_set',
        actor: expect.objectContaining({ person: people.admin.id }) as object,
        lab: people.partner.id,
        data: { issuer: identity.issuer, kids: ['key-1'], before: {}, tokensEnded: 0 },
      }),
    );
  });

  it('may be one key without a kid, which then goes by its thumbprint', async () => {
    const { kid: _, ...jwk } = identity.jwk;
    const answer = await set({ issuer: identity.issuer, jwks: { keys: [jwk] } });
    expect(answer.body.identity.kids).toEqual([expect.stringMatching(/^[\w-]{43}$/)]);
  });

  it('may be two keys of one kid, where their types tell them apart', async () => {
    const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const other = { ...publicKey.export({ format: 'jwk' }), kid: identity.jwk.kid };
    const answer = await set({ issuer: identity.issuer, jwks: { keys: [other, identity.jwk] } });
    expect(answer.body.identity.kids).toEqual(['key-1', 'key-1']);
    const { partner, admin } = people;
    const { id } = await makePerson(test.broker, admin.id, partner.id, 'Two Types', ['researcher']);
    await tokenFor(test, await signLabAssertion(test, identity, id));
  });

  it('may be the address of the keys', async () => {
    const jwksUrl = 'https://id.partner.example/keys?v=1';
    const answer = await set({ issuer: identity.issuer, jwksUrl });
    expect(answer.body.identity).toMatchObject({ jwksUrl, kids: null });
  });

  it('is one of a partner or an auditor, not of the host', async () => {
    expect((await set(identity.input, people.auditLab)).status).toBe(200);
    const host = await set(makeIdentity('https://id.host.example').input, people.host);
    expect([host.status, host.body.code]).toEqual([400, 'invalid_request']);
    const nobody = await api.call(people.admin, 'put', `/labs/lab_${'0'.repeat(26)}/identity`, {
      ...identity.input,
    });
    expect(nobody.status).toBe(404);
  });

  it('has an issuer that no other lab has, however it is written', async () => {
    await set();
    for (const issuer of [identity.issuer, 'https://ID.partner.example/']) {
      const taken = await set(makeIdentity(issuer).input, people.otherPartner);
      expect([taken.status, taken.body.code, taken.body.param]).toEqual([
        409,
        'already_exists',
        'issuer',
      ]);
    }
    await remove();
    expect((await set(identity.input, people.otherPartner)).status).toBe(200);
  });

  it("is not this broker's own", async () => {
    const answer = await set(makeIdentity(test.broker.issuer.replace('http:', 'https:')).input);
    expect(answer.status).toBe(200);
    const own = await set(makeIdentity(test.broker.issuer).input);
    expect([own.status, own.body.param]).toEqual([400, 'issuer']);
  });

  it('is taken away by the host, or by the lead of the lab', async () => {
    await set();
    expect((await remove(people.otherLead)).status).toBe(404);
    expect((await remove(people.researcher)).status).toBe(403);
    const removed = await remove(people.lead);
    expect([removed.status, removed.body.identity]).toEqual([200, null]);
    const twice = await remove(people.safety);
    expect([twice.status, twice.body.code]).toEqual([409, 'already_decided']);
  });
});

describe('an identity is refused', () => {
  const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const small = generateKeyPairSync('rsa', { modulusLength: 1024 });
  const { jwk, input, issuer } = makeIdentity('https://id.partner.example');
  const keys = (...list: object[]): object => ({ issuer, jwks: { keys: list } });
  const table: [string, object][] = [
    ['an issuer that is no URL', { ...input, issuer: 'partner' }],
    ['an issuer without TLS', { ...input, issuer: 'http://id.partner.example' }],
    [
      'an issuer on loopback, which the configuration does not allow',
      { ...input, issuer: 'http://127.0.0.1:9' },
    ],
    ['an issuer with a query', { ...input, issuer: `${issuer}?a=b` }],
    ['an issuer with a fragment', { ...input, issuer: `${issuer}#a` }],
    ['an issuer with credentials', { ...input, issuer: 'https://a:b@id.partner.example' }],
    ['an issuer with a space', { ...input, issuer: ` ${issuer}` }],
    ['another scheme', { issuer, jwksUrl: 'file:///etc/passwd' }],
    ['an address of keys without TLS', { issuer, jwksUrl: 'http://id.partner.example/keys' }],
    ['an address of keys with credentials', { issuer, jwksUrl: 'https://a:b@id.partner.example' }],
    ['an address of keys with a fragment', { issuer, jwksUrl: `${issuer}/keys#1` }],
    ['keys and their address', { ...input, jwksUrl: `${issuer}/keys` }],
    ['neither keys nor their address', { issuer }],
    ['no key', keys()],
    ['too many keys', keys(...Array.from({ length: 17 }, (_, i) => ({ ...jwk, kid: `k${i}` })))],
    ['a private key', keys({ ...jwk, d: 'A'.repeat(43) })],
    ['a shared key', keys({ kty: 'oct', k: 'A'.repeat(43) })],
    ['a key for encryption', keys({ ...jwk, use: 'enc' })],
    ['a small RSA key', keys(small.publicKey.export({ format: 'jwk' }))],
    ['several keys, one without a kid', keys(jwk, { ...jwk, kid: undefined })],
    ['a key with stray bits', keys({ ...jwk, x: withStrayBits('x' in jwk ? jwk.x : '') })],
    ['two keys of one kid', keys(jwk, { ...makeIdentity(issuer).jwk })],
    [
      'a point that is on no curve',
      keys({ ...ec.publicKey.export({ format: 'jwk' }), y: 'A'.repeat(43) }),
    ],
  ];

  it.each(table)('%s', async (_name, body) => {
    const answer = await set(body);
    expect([answer.status, answer.body.code]).toEqual([400, 'invalid_request']);
    expect(JSON.stringify(answer.body)).not.toContain('AAAA');
    expect(test.broker.policy.lab(people.partner.id)?.identity).toBeNull();
  });
});

describe('tokens that a lab vouched for', () => {
  const subject = 'rio@partner';
  let vouchedFor: string;

  beforeAll(async () => {
    await set();
    const added = await api.post(people.lead, '/people', {
      lab: people.partner.id,
      name: 'Vera Vouched',
      roles: ['researcher'],
      subject,
    });
    vouchedFor = added.body.id as string;
  });

  const token = async (): Promise<string> =>
    tokenFor(test, await signLabAssertion(test, identity, subject));

  it('are for the person whom the lab means, with no key of their own', async () => {
    await set();
    const answer = await fetch(`${test.url}/api/v1/me`, {
      headers: { authorization: `Bearer ${await token()}` },
    });
    expect(await answer.json()).toMatchObject({
      person: { id: vouchedFor, subject, keys: [] },
      lab: { id: people.partner.id },
    });
  });

  it('go on when the same identity is registered again, and nothing is recorded', async () => {
    const before = (await set()).body as object;
    const live = await token();
    const size = test.broker.readers.logSize();
    expect((await set()).body).toEqual(before);
    expect(test.broker.readers.logSize()).toBe(size);
    expect(await me(live)).toBe(200);
  });

  const changes: [string, () => PromiseLike<unknown>, string][] = [
    ['taken away', () => remove(), 'lab.identity_removed'],
    ['replaced', () => set(makeIdentity(identity.issuer).input), 'lab.identity_set'],
    [
      'to be fetched',
      () => set({ issuer: identity.issuer, jwksUrl: 'https://x.example' }),
      'lab.identity_set',
    ],
  ];
  it.each(changes)(
    'end at once when the identity is %s, and no others',
    async (_n, change, kind) => {
      await set();
      const other = makeIdentity('https://id.other.example');
      await set(other.input, people.otherPartner);
      const ofOther = await tokenFor(
        test,
        await signLabAssertion(test, other, people.otherResearcher.id),
      );
      const ofOwnKey = await getToken(test, people.researcher);
      const live = [await token(), await token()];
      const size = test.broker.readers.logSize();
      await change();
      for (const ended of live) expect(await me(ended)).toBe(401);
      expect([await me(ofOther), await me(ofOwnKey)]).toEqual([200, 200]);
      expect(entriesSince(size)).toContainEqual(
        expect.objectContaining({
          kind,
          data: expect.objectContaining({ tokensEnded: 2 }) as object,
        }),
      );
      const again = await exchange(test, await signLabAssertion(test, identity, subject));
      expect(again.status).toBeGreaterThanOrEqual(400);
    },
  );

  it('reach models under a grant, for no longer than the assertion', async () => {
    await set();
    const grant = await makeActiveGrant(test, people);
    const access = { grant: grant.id, purpose: 'scheming', run: 'r1' } as const;
    const exp = Math.floor(Date.now() / 1000) + 100;
    const assertion = await signLabAssertion(test, identity, people.researcher.id, { exp });
    const { status, body } = await exchange(test, assertion, access);
    expect(status).toBe(200);
    expect(decodeJwt(String(body.access_token)).exp).toBe(exp);
    expect(body.expires_in).toBeLessThanOrEqual(100);
    const { items } = (await api.get(people.lead, `/tokens?grant=${grant.id}`)).body as {
      items: object[];
    };
    expect(items[0]).toMatchObject({ vouchedBy: 'lab', kid: 'key-1' });
    const replayed = await exchange(test, assertion, access);
    expect([replayed.status, replayed.body.error]).toEqual([400, 'invalid_grant']);
  });

  it('are for nobody of another lab', async () => {
    await set();
    const answer = await exchange(
      test,
      await signLabAssertion(test, identity, people.otherResearcher.id),
    );
    expect([answer.status, answer.body.error]).toEqual([400, 'invalid_grant']);
  });
});

describe('people whom their lab signs for', () => {
  const person = (changes: object) => ({
    lab: people.partner.id,
    name: 'Sub Ject',
    roles: ['researcher'],
    ...changes,
  });
  const add = (changes: object) => api.post(people.lead, '/people', person(changes));

  it('take no key where the lab has an identity, and one where it has none', async () => {
    const without = await add({ subject: 'first' });
    expect([without.status, without.body.param]).toEqual([400, 'publicKey']);
    expect(without.body.detail).toContain('has not registered an identity');
    await set();
    const neither = await add({});
    expect([neither.status, neither.body.param]).toEqual([400, 'publicKey']);
    const made = await add({ subject: 'first' });
    expect([made.status, made.body.subject, made.body.keys]).toEqual([201, 'first', []]);
    const both = await add({ name: 'Bo Th', subject: 'both', publicKey: makeKey().publicKey });
    expect([both.status, both.body.keys.length]).toEqual([201, 1]);
  });

  it('have a name that nobody else in the lab has, until they are removed', async () => {
    await set();
    const made = await add({ name: 'Se Cond', subject: 'second' });
    const twin = await add({ name: 'Tw In', subject: 'second' });
    expect([twin.status, twin.body.code, twin.body.param]).toEqual([
      409,
      'already_exists',
      'subject',
    ]);
    // Who has no name is called by their id.
    const borrowed = await add({ name: 'Bor Rowed', subject: people.researcher.id });
    expect([borrowed.status, borrowed.body.param]).toEqual([409, 'subject']);
    const elsewhere = await api.post(people.otherLead, '/people', {
      ...person({ subject: 'second', publicKey: makeKey().publicKey }),
      lab: people.otherPartner.id,
    });
    expect(elsewhere.status).toBe(201);
    await api.post(people.lead, `/people/${made.body.id}/remove`);
    const gone = await exchange(test, await signLabAssertion(test, identity, 'second'));
    expect(gone.body.error).toBe('invalid_grant');
    const heir = await add({ name: 'He Ir', subject: 'second' });
    expect(heir.status).toBe(201);
    const token = await tokenFor(test, await signLabAssertion(test, identity, 'second'));
    expect(await me(token)).toBe(200);
  });

  it.each([
    ['a space', 'a b'],
    ['nothing', ''],
    ['a control character', 'a\u0007'],
    ['too long', 'a'.repeat(256)],
  ])('cannot be called %s', async (_name, subject) => {
    expect((await add({ subject, publicKey: makeKey().publicKey })).status).toBe(400);
  });
});
