import {
  createLocalJWKSet,
  decodeJwt,
  decodeProtectedHeader,
  jwtVerify,
  type JSONWebKeySet,
} from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ConfigError, parseConfig } from '../../src/config/load.ts';
import { issueAssertion } from '../../src/broker/issue-assertion.ts';
import { createPerson } from '../../src/broker/manage-people.ts';
import { retireSigningKey, rotateSigningKeys } from '../../src/broker/manage-signing-keys.ts';
import type { Store } from '../../src/store/client.ts';
import type { OperationName } from '../../src/store/operations/index.ts';
import { Api } from '../support/api.ts';
import { exchange } from '../support/lab-identities.ts';
import {
  getToken,
  makeKey,
  makePeople,
  makePerson,
  type People,
  type TestPerson,
} from '../support/people.ts';
import { startTestBroker, type TestBroker } from '../support/test-broker.ts';

const AUDIENCE = 'https://broker.partner.example';

let test: TestBroker;
let people: People;
let api: Api;
let researcher: TestPerson;

beforeAll(async () => {
  test = await startTestBroker({
    federation: { audiences: [{ issuer: AUDIENCE }], assertionLifetimeSeconds: 120 },
  });
  people = await makePeople(test);
  api = new Api(test);
  const { admin, host } = people;
  researcher = await makePerson(test.broker, admin.id, host.id, 'Hal Home', ['researcher']);
});
afterAll(() => test.close());

const ask = (who: TestPerson, audience = AUDIENCE) => api.post(who, '/assertions', { audience });

describe('an assertion for a researcher of the host', () => {
  it('is what the broker of another lab takes, and on record without its text', async () => {
    const size = test.broker.readers.logSize();
    const answer = await ask(researcher);
    expect(answer.status).toBe(201);
    const { assertion, expiresAt } = answer.body as { assertion: string; expiresAt: string };
    const jwks = (await (await fetch(`${test.url}/oauth/jwks`)).json()) as JSONWebKeySet;
    const { payload } = await jwtVerify(assertion, createLocalJWKSet(jwks), {
      typ: 'authorization-grant+jwt',
      issuer: test.broker.issuer,
      audience: AUDIENCE,
      subject: researcher.id,
      requiredClaims: ['exp', 'iat', 'jti'],
    });
    expect(Number(payload.exp) - Number(payload.iat)).toBe(120);
    expect(Date.parse(expiresAt)).toBe(Number(payload.exp) * 1000);
    expect(decodeProtectedHeader(assertion)).toEqual({
      alg: 'EdDSA',
      typ: 'authorization-grant+jwt',
      kid: test.broker.signingKeys.active.kid,
    });
    const entries = test.broker.readers
      .listEntries({ from: size, limit: 10 })
      .map(({ bytes }) => String(bytes));
    const entry = entries.find((text) => text.includes('assertion.issued')) ?? '{}';
    expect(JSON.parse(entry)).toMatchObject({
      actor: { person: researcher.id },
      ref: payload.jti,
      person: researcher.id,
      data: { audience: AUDIENCE, subject: researcher.id, expiresAt },
    });
    expect(entry).not.toContain(assertion.split('.')[2]);
  });

  it('has a jti of its own each time, and the name that the lab has for them', async () => {
    const key = makeKey();
    const { admin, host } = people;
    const named = await createPerson(test.broker, admin.id, host.id, {
      name: 'Nam Ed',
      roles: ['researcher'],
      attributes: {},
      subject: 'nam.ed',
      publicKey: key.publicKey,
    });
    const who = { ...researcher, ...key, id: named.id, kid: named.keys[0]?.kid ?? '' };
    const both = [await ask(who), await ask(who)].map(({ body }) =>
      decodeJwt((body as { assertion: string }).assertion),
    );
    expect(both.map(({ sub }) => sub)).toEqual(['nam.ed', 'nam.ed']);
    expect(both[0]?.jti).not.toBe(both[1]?.jti);
  });

  it.each([
    ['a broker that the configuration does not list', 'https://elsewhere.example'],
    ['its own broker', 'OWN'],
    ['almost a listed one', `${AUDIENCE}/`],
  ])('is refused for %s, naming those that are', async (_name, audience) => {
    const answer = await ask(researcher, audience.replace('OWN', test.broker.issuer));
    expect([answer.status, answer.body.code, answer.body.param]).toEqual([
      400,
      'invalid_request',
      'audience',
    ]);
    expect(answer.body.detail).toContain(AUDIENCE);
  });

  it('is for researchers of the host alone', async () => {
    for (const who of [people.admin, people.safety, people.lead, people.researcher]) {
      const answer = await ask(who);
      expect([answer.status, answer.body.code]).toEqual([403, 'role_required']);
    }
  });

  it('is all that they can have changed here', async () => {
    const { body } = (await api.get(researcher, '/me')) as { body: { actions: object } };
    const more = Object.keys(body.actions).filter((action) => !action.endsWith('.read'));
    expect(more.sort()).toEqual([
      'assertion.issue',
      'notice.acknowledge',
      'order.acknowledge',
      'order.issue',
      'person.add_key',
      'person.remove_key',
      'report.run',
      'run.end',
      'token.revoke',
    ]);
  });
});

describe('a key that is retired while an assertion is recorded', () => {
  it('does not sign it: another key does, and the record says which', async () => {
    const { broker } = test;
    const leaked = broker.signingKeys.active.kid;
    const size = broker.readers.logSize();
    let asked = 0;
    const store = {
      write: async (name: OperationName, args: never): Promise<unknown> => {
        const result = await broker.store.write(name, args);
        asked += 1;
        if (asked === 1) await retireSigningKey(broker, people.safety.id, leaked, 'Leaked');
        return result;
      },
    } as unknown as Store;
    const { assertion } = await issueAssertion({ ...broker, store }, researcher.id, AUDIENCE);

    const { kid } = decodeProtectedHeader(assertion);
    expect([kid, asked]).toEqual([broker.signingKeys.active.kid, 2]);
    expect(kid).not.toBe(leaked);
    const entries = broker.readers
      .listEntries({ from: size, limit: 20, kind: 'assertion.issued' })
      .map(({ bytes }) => JSON.parse(String(bytes)) as { ref: string; data: object });
    expect(entries.map(({ data }) => data)).toMatchObject([
      { signedWith: leaked },
      { signedWith: kid, jti: decodeJwt(assertion).jti },
    ]);
    expect(entries[0]?.ref).not.toBe(entries[1]?.ref);
  });

  it('again and again is answered "try again"', async () => {
    const { broker } = test;
    const store = {
      write: async (name: OperationName, args: never): Promise<unknown> => {
        const result = await broker.store.write(name, args);
        await rotateSigningKeys(broker, people.admin.id, { now: true });
        return result;
      },
    } as unknown as Store;
    const issued = issueAssertion({ ...broker, store }, researcher.id, AUDIENCE);
    await expect(issued).rejects.toMatchObject({ refusal: { code: 'too_busy' } });
  });
});

describe('an assertion and an access token, signed by the same key', () => {
  it('are not taken for each other', async () => {
    const { assertion } = (await ask(researcher)).body as { assertion: string };
    const asToken = await fetch(`${test.url}/api/v1/me`, {
      headers: { authorization: `Bearer ${assertion}` },
    });
    expect(asToken.status).toBe(401);
    // Not even where it came from.
    expect((await exchange(test, assertion)).body.error).toBe('invalid_grant');

    const other = await startTestBroker({ federation: { allowInsecureLoopback: true } });
    try {
      const there = await makePeople(other);
      const path = `/labs/${there.partner.id}/identity`;
      const set = await new Api(other).call(there.admin, 'put', path, {
        issuer: test.url,
        jwksUrl: `${test.url}/oauth/jwks`,
      });
      expect(set.status).toBe(200);
      const token = await getToken(test, researcher);
      expect((await exchange(other, token)).body.error).toBe('invalid_grant');
      // Nor one for another broker.
      const misled = await exchange(other, assertion);
      expect([misled.status, misled.body.error]).toEqual([400, 'invalid_grant']);
    } finally {
      await other.close();
    }
  });
});

describe('the configuration', () => {
  const wrong = (federation: object, server: object = {}): string => {
    try {
      parseConfig({ federation, server }, 'of the test');
    } catch (error) {
      if (error instanceof ConfigError) return error.message;
      throw error;
    }
    return '';
  };

  it.each([
    ['no URL', { audiences: [{ issuer: 'partner' }] }, 'must be an https:// URL'],
    ['no TLS', { audiences: [{ issuer: 'http://partner.example' }] }, 'must be https'],
    [
      'loopback, not allowed',
      { audiences: [{ issuer: 'http://127.0.0.1:1' }] },
      'allowInsecureLoopback',
    ],
    ['too long a life', { assertionLifetimeSeconds: 301 }, 'assertionLifetimeSeconds'],
    ['no such option', { audience: [] }, 'no such option'],
  ])('is refused with %s', (_name, federation, why) => {
    expect(wrong(federation)).toContain(why);
  });

  it('lists other brokers, not this one', () => {
    const own = {
      publicUrl: 'https://own.example',
      behindProxy: { trustedNetworks: ['10.0.0.0/8'] },
    };
    const audiences = [{ issuer: 'https://own.example/' }];
    expect(wrong({ audiences }, own)).toContain('is this broker');
    expect(wrong({ audiences }, { ...own, issuer: 'https://issuer.example' })).toBe('');
    const here = { audiences: [{ issuer: 'http://localhost:1' }], allowInsecureLoopback: true };
    expect(wrong(here)).toBe('');
  });
});
