import { decodeJwt, decodeProtectedHeader, SignJWT, UnsecuredJWT } from 'jose';
import request, { type Response } from 'supertest';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Grant } from '../../src/core/grants.ts';
import { Api } from '../support/api.ts';
import { makeActiveGrant } from '../support/grants.ts';
import {
  makeKey,
  makePeople,
  makePerson,
  signAssertion,
  tokenForm,
  type People,
  type TestPerson,
} from '../support/people.ts';
import { startTestBroker, type TestBroker } from '../support/test-broker.ts';
import { NO_GRANT } from './route-samples.ts';

let test: TestBroker;
let people: People;
let api: Api;
let grant: Grant;

beforeAll(async () => {
  test = await startTestBroker();
  people = await makePeople(test);
  api = new Api(test);
  grant = await makeActiveGrant(test, people);
});
afterAll(() => test.close());

const post = (form: Record<string, string> | string): Promise<Response> =>
  request(test.url)
    .post('/oauth/token')
    .type('form')
    .send(typeof form === 'string' ? form : new URLSearchParams(form).toString())
    .then((answer) => answer);

const access = () => ({ grant: grant.id, purpose: 'scheming', run: 'run one' }) as const;

describe('a token of the gateway', () => {
  it('is a short-lived JWT for one grant, purpose and run, with an answer that says so', async () => {
    const answer = await post(await tokenForm(test, people.researcher, access()));
    expect(answer.status).toBe(200);
    expect(answer.headers['cache-control']).toBe('no-store');
    expect(answer.headers['content-type']).toMatch(/^application\/json/);
    expect(answer.body).toEqual({
      access_token: expect.any(String) as string,
      token_type: 'Bearer',
      expires_in: expect.any(Number) as number,
      authorization_details: [
        {
          type: 'model_access',
          grant: grant.id,
          purpose: 'scheming',
          run: 'run one',
          run_id: expect.stringMatching(/^run_/) as string,
          models: ['model-a-1', 'model-b-1'],
          operations: ['chat.completions', 'messages', 'models'],
          features: grant.spec.features,
        },
      ],
    });
    expect(answer.body.expires_in).toBeGreaterThan(890);
    expect(answer.body.expires_in).toBeLessThanOrEqual(900);
    const token = answer.body.access_token as string;
    expect(decodeProtectedHeader(token)).toMatchObject({ typ: 'at+jwt', alg: 'EdDSA' });
    expect(decodeJwt(token)).toMatchObject({
      aud: `${test.url}/v1`,
      sub: people.researcher.id,
      client_id: people.researcher.id,
      grant: grant.id,
    });
  });

  it('takes the resource that fits, and no other', async () => {
    const form = await tokenForm(test, people.researcher, access());
    const wrong = await post({ ...form, resource: `${test.url}/api/v1` });
    expect([wrong.status, wrong.body.error]).toEqual([400, 'invalid_target']);
    const right = await post({ ...form, resource: `${test.url}/v1` });
    expect(right.status).toBe(200);
  });
});

/** Each broken kind of assertion, and what stands in place of the right one. */
const BROKEN: [string, (who: TestPerson) => Promise<string> | string][] = [
  [
    'alg none',
    (who) =>
      new UnsecuredJWT({})
        .setIssuer(who.id)
        .setSubject(who.id)
        .setAudience(test.url)
        .setJti('unsecured-1')
        .setExpirationTime('1m')
        .encode(),
  ],
  [
    'HS256, keyed with the public key',
    (who) =>
      new SignJWT({ iss: who.id, sub: who.id, aud: test.url, jti: 'hs256-confusion' })
        .setProtectedHeader({ alg: 'HS256', kid: who.kid })
        .setExpirationTime('1m')
        .sign(Buffer.from(who.publicKey.x, 'base64url')),
  ],
  [
    'the audience of another server',
    (who) => signAssertion(test, who, { aud: 'https://other.example' }),
  ],
  [
    'the token endpoint as audience',
    (who) => signAssertion(test, who, { aud: `${test.url}/oauth/token` }),
  ],
  [
    'a list of audiences',
    (who) => signAssertion(test, who, { aud: [test.url, 'https://x.example'] }),
  ],
  ['a list of one audience', (who) => signAssertion(test, who, { aud: [test.url] })],
  ['no audience', (who) => signAssertion(test, who, { aud: undefined })],
  ['an expiry that has passed', (who) => signAssertion(test, who, { exp: seconds(-60) })],
  ['an expiry in an hour', (who) => signAssertion(test, who, { exp: seconds(3600) })],
  ['no expiry', (who) => signAssertion(test, who, { exp: undefined })],
  ['a beginning in the future', (who) => signAssertion(test, who, { nbf: seconds(120) })],
  ['no jti', (who) => signAssertion(test, who, { jti: undefined })],
  ['a jti that is too short', (who) => signAssertion(test, who, { jti: 'x' })],
  ['no issuer', (who) => signAssertion(test, who, { iss: undefined })],
  ['another subject than issuer', (who) => signAssertion(test, who, { sub: people.lead.id })],
  ['a key that nobody registered', (who) => signAssertion(test, who, {}, makeKey().privateKey)],
  ["another person's key", (who) => signAssertion(test, who, {}, people.lead.privateKey)],
  [
    'a person that does not exist',
    (who) => signAssertion(test, who, { iss: 'per_x', sub: 'per_x' }),
  ],
  ['a tampered claim', async (who) => tampered(await signAssertion(test, who), people.lead.id)],
  ['three words', () => 'one.two.three'],
  ['a very long text', () => 'a'.repeat(20_000)],
];

describe('client authentication', () => {
  it.each(BROKEN)('%s is no authentication, and looks like every other', async (_name, make) => {
    const form = await tokenForm(test, people.researcher);
    const answer = await post({ ...form, client_assertion: await make(people.researcher) });
    expect(answer.status).toBe(401);
    expect(answer.body).toEqual({
      error: 'invalid_client',
      code: 'invalid_client',
      error_description:
        'The broker knows no such person with this key. Check the person id and the key; a removed person or key gives the same answer.',
    });
    expect(answer.headers['cache-control']).toBe('no-store');
  });

  it('an assertion is good once, also when it is used twice at the same moment', async () => {
    const form = await tokenForm(test, people.researcher);
    const answers = await Promise.all(Array.from({ length: 10 }, () => post(form)));
    const good = answers.filter((answer) => answer.status === 200);
    expect(good).toHaveLength(1);
    for (const answer of answers.filter((one) => one.status !== 200)) {
      expect([answer.status, answer.body.error, answer.body.code]).toEqual([
        401,
        'invalid_client',
        'assertion_replayed',
      ]);
    }
  });

  it('an assertion that was refused for its grant is used up as well', async () => {
    const form = await tokenForm(test, people.researcher, { ...access(), grant: NO_GRANT });
    expect((await post(form)).body.code).toBe('grant_unknown');
    expect((await post(form)).body.code).toBe('assertion_replayed');
  });

  it('ends with the key, and with the person', async () => {
    const { admin, partner } = people;
    const person = await makePerson(test.broker, admin.id, partner.id, 'Gone Soon', ['researcher']);
    const token = (await post(await tokenForm(test, person))).body.access_token as string;
    const me = () => request(test.url).get('/api/v1/me').set('authorization', `Bearer ${token}`);
    expect((await me()).status).toBe(200);
    await api.call(people.lead, 'delete', `/people/${person.id}/keys/${person.kid}`);
    expect((await post(await tokenForm(test, person))).body.error).toBe('invalid_client');
    expect((await me()).body.code).toBe('token_revoked');

    const other = await makePerson(test.broker, admin.id, partner.id, 'Gone Too', ['researcher']);
    const held = (await post(await tokenForm(test, other))).body.access_token as string;
    await api.post(people.lead, `/people/${other.id}/remove`);
    expect((await post(await tokenForm(test, other))).body.error).toBe('invalid_client');
    const answer = await request(test.url).get('/api/v1/me').set('authorization', `Bearer ${held}`);
    expect([answer.status, answer.body.code]).toEqual([401, 'token_revoked']);
  });

  it('what is refused is counted, and recorded in aggregate', async () => {
    await test.broker.unauthenticated.flush();
    const size = test.broker.readers.logSize();
    for (let i = 0; i < 3; i += 1) await post({ grant_type: 'password' });
    await post({ ...(await tokenForm(test, people.lead)), client_assertion: 'x.y.z' });
    expect(test.broker.readers.logSize()).toBe(size);
    await test.broker.unauthenticated.flush();
    const [entry] = test.broker.readers.listEntries({ from: size, limit: 1 });
    expect(JSON.parse(String(entry?.bytes)).data.counts).toEqual({
      'token_endpoint invalid_request': 3,
      'token_endpoint invalid_client': 1,
    });
  });
});

describe('what is refused after authentication', () => {
  it.each([
    [
      'a grant that does not exist',
      'grant_unknown',
      'invalid_authorization_details',
      'researcher',
      { grant: NO_GRANT },
    ],
    [
      "another lab's grant",
      'grant_unknown',
      'invalid_authorization_details',
      'otherResearcher',
      {},
    ],
    [
      'a purpose that is not granted',
      'purpose_not_granted',
      'invalid_authorization_details',
      'researcher',
      { purpose: 'bias' },
    ],
    [
      'somebody who is not on the roster',
      'person_not_on_grant',
      'unauthorized_client',
      'secondResearcher',
      {},
    ],
    ['somebody of the host', 'grant_unknown', 'invalid_authorization_details', 'admin', {}],
  ] as const)('%s: %s', async (_name, code, error, who, changes) => {
    const size = test.broker.readers.logSize();
    const answer = await post(await tokenForm(test, people[who], { ...access(), ...changes }));
    expect([answer.status, answer.body.error, answer.body.code]).toEqual([400, error, code]);
    expect(answer.body.error_description).toMatch(/^[\x20-\x21\x23-\x5b\x5d-\x7e]+$/);
    const [entry] = test.broker.readers.listEntries({ from: size, limit: 1 });
    expect(JSON.parse(String(entry?.bytes))).toMatchObject({ kind: 'token.denied', reason: code });
  });

  it('terms that were not accepted, an order, the end of the grant', async () => {
    const { lead, researcher, safety } = people;
    const fresh = await makeActiveGrant(test, people, {
      people: [{ person: lead.id }, { person: people.secondResearcher.id }],
    });
    const ask = async (who: TestPerson, id: string): Promise<unknown[]> => {
      const { status, body } = await post(await tokenForm(test, who, { ...access(), grant: id }));
      return [status, body.error, body.code];
    };
    expect(await ask(people.secondResearcher, fresh.id)).toEqual([
      400,
      'unauthorized_client',
      'terms_not_accepted',
    ]);
    const order = await api.post(safety, '/orders', {
      selector: { person: researcher.id },
      grounds: 'Look',
    });
    expect(order.status).toBe(201);
    expect(await ask(researcher, grant.id)).toEqual([
      400,
      'unauthorized_client',
      'person_suspended',
    ]);
    await api.post(people.admin, `/orders/${order.body.id}/lift`, { grounds: 'Done' });
    await api.post(safety, `/grants/${fresh.id}/revoke`, { grounds: 'Over' });
    expect(await ask(lead, fresh.id)).toEqual([400, 'unauthorized_client', 'grant_revoked']);
  });
});

describe('forms that are not well formed', () => {
  it.each([
    ['no grant type', { grant_type: '' }, 400, 'invalid_request'],
    ['a password', { grant_type: 'password' }, 400, 'unsupported_grant_type'],
    ['a refresh token', { grant_type: 'refresh_token' }, 400, 'unsupported_grant_type'],
    ['a scope', { scope: 'all' }, 400, 'invalid_scope'],
    ['another kind of assertion', { client_assertion_type: 'saml' }, 401, 'invalid_client'],
    ['no assertion', { client_assertion: '' }, 401, 'invalid_client'],
    ["another person's client_id", { client_id: 'per_x' }, 401, 'invalid_client'],
    [
      'details that are not JSON',
      { authorization_details: '{' },
      400,
      'invalid_authorization_details',
    ],
    [
      'details that are not a list',
      { authorization_details: '{}' },
      400,
      'invalid_authorization_details',
    ],
    [
      'details of an unknown type',
      { authorization_details: '[{"type":"x"}]' },
      400,
      'invalid_authorization_details',
    ],
    ['no details', { authorization_details: '[]' }, 400, 'invalid_authorization_details'],
  ])('%s', async (_name, changes, status, error) => {
    const form = { ...(await tokenForm(test, people.researcher)), ...changes };
    const answer = await post(form);
    expect([answer.status, answer.body.error]).toEqual([status, error]);
    expect(answer.body.code).toMatch(/^[a-z_]+$/);
  });

  it('an unknown field of the details is refused by name', async () => {
    const details = [{ type: 'model_access', ...access(), locations: ['here'] }];
    const form = await tokenForm(test, people.researcher);
    const answer = await post({ ...form, authorization_details: JSON.stringify(details) });
    expect(answer.body.error).toBe('invalid_authorization_details');
    expect(answer.body.error_description).toContain('locations');
  });

  it('a parameter that is given twice', async () => {
    const form = new URLSearchParams(await tokenForm(test, people.researcher));
    for (const name of form.keys()) {
      const answer = await post(`${form.toString()}&${name}=again`);
      expect([name, answer.status, answer.body.error]).toEqual([name, 400, 'invalid_request']);
    }
  });

  it('JSON, too much of it, and another method', async () => {
    const json = await request(test.url).post('/oauth/token').send({ grant_type: 'x' });
    expect([json.status, json.body.error]).toEqual([400, 'invalid_request']);
    const large = await post(`grant_type=client_credentials&x=${'a'.repeat(70_000)}`);
    expect([large.status, large.body.error, large.body.code]).toEqual([
      400,
      'invalid_request',
      'body_too_large',
    ]);
    const get = await request(test.url).get('/oauth/token');
    expect([get.status, get.headers['allow']]).toEqual([405, 'POST']);
  });
});

const seconds = (offset: number): number => Math.floor(Date.now() / 1000) + offset;

/** The same signature over another subject. */
function tampered(jwt: string, subject: string): string {
  const [header, payload = '', signature] = jwt.split('.');
  const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as object;
  const changed = { ...claims, iss: subject, sub: subject };
  return [header, Buffer.from(JSON.stringify(changed)).toString('base64url'), signature].join('.');
}
