/** Requests of the OAuth endpoints that are wrong in what they ask for: RFC 6749, 7009, 7662, 8707, 9396. */
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { DenialCode } from '../../src/core/denials.ts';
import type { Grant } from '../../src/core/grants.ts';
import { ASSERTION_TYPE } from '../../src/oauth/client-assertion.ts';
import { JWT_BEARER } from '../../src/oauth/lab-assertion.ts';
import { makeActiveGrant } from '../support/grants.ts';
import { makePeople, signAssertion, tokenForm, type People } from '../support/people.ts';
import { oauthErrorOf, refused, send, type Recorded } from '../support/refusals.ts';
import { startTestBroker, type TestBroker } from '../support/test-broker.ts';
import { NO_GRANT } from './route-samples.ts';

let test: TestBroker;
let people: People;
let grant: Grant;

beforeAll(async () => {
  test = await startTestBroker();
  people = await makePeople(test);
  grant = await makeActiveGrant(test, people);
});
afterAll(() => test.close());

type Changes = Record<string, string | undefined>;

const COUNTED: Recorded = { counted: 'token_endpoint' };
const ENTERED: Recorded = { entry: 'token.denied' };

const access = () => ({ grant: grant.id, purpose: 'scheming', run: 'a run' }) as const;

/** A request that is right in every part but for what is given; undefined leaves a parameter out. */
async function formWith(changes: Changes = {}): Promise<Record<string, string>> {
  const form: Changes = { ...(await tokenForm(test, people.researcher, access())), ...changes };
  return Object.fromEntries(
    Object.entries(form).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );
}

describe('RFC 6749', () => {
  it.each<[string, Changes, number, string, DenialCode]>([
    ['no grant type', { grant_type: undefined }, 400, 'invalid_request', 'invalid_request'],
    ['an empty one', { grant_type: '' }, 400, 'invalid_request', 'invalid_request'],
    ...[
      'password',
      'authorization_code',
      'refresh_token',
      'urn:ietf:params:oauth:grant-type:token-exchange',
      'CLIENT_CREDENTIALS',
      'client_credentials ',
    ].map((type): [string, Changes, number, string, DenialCode] => [
      `the grant type "${type}"`,
      { grant_type: type },
      400,
      'unsupported_grant_type',
      'invalid_request',
    ]),
    ["no lab's assertion", { grant_type: JWT_BEARER }, 400, 'invalid_request', 'invalid_request'],
    [
      "an empty lab's assertion",
      { grant_type: JWT_BEARER, assertion: '' },
      400,
      'invalid_request',
      'invalid_request',
    ],
    ['a scope', { scope: 'model_access' }, 400, 'invalid_scope', 'invalid_request'],
    ['no assertion', { client_assertion: undefined }, 401, 'invalid_client', 'invalid_client'],
    ['an empty assertion', { client_assertion: '' }, 401, 'invalid_client', 'invalid_client'],
    [
      'no type of it',
      { client_assertion_type: undefined },
      401,
      'invalid_client',
      'invalid_client',
    ],
    [
      'another type of it',
      { client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:saml2-bearer' },
      401,
      'invalid_client',
      'invalid_client',
    ],
    [
      'a shared secret',
      {
        client_assertion: undefined,
        client_assertion_type: undefined,
        client_id: 'per_x',
        client_secret: 'canary',
      },
      401,
      'invalid_client',
      'invalid_client',
    ],
  ])('%s', async (_name, changes, status, error, code) => {
    const asked = { path: '/oauth/token', form: await formWith(changes) };
    expect(oauthErrorOf(await refused(test, asked, code, COUNTED))).toEqual([status, error]);
  });

  it('takes a parameter without a value for one that was left out', async () => {
    const empty = { scope: '', resource: '', client_id: '', assertion: '' };
    expect((await send(test, { path: '/oauth/token', form: await formWith(empty) })).status).toBe(
      200,
    );
  });

  it('ignores parameters that nobody knows', async () => {
    const form = await formWith({ surprise: 'yes', audience: 'https://other.example' });
    expect((await send(test, { path: '/oauth/token', form })).status).toBe(200);
  });

  it('no parameter twice, not even without a value, nor one that nobody knows', async () => {
    const form = new URLSearchParams({ ...(await formWith()), surprise: 'x' }).toString();
    for (const name of new URLSearchParams(form).keys()) {
      for (const again of ['again', '']) {
        const asked = { path: '/oauth/token', form: `${form}&${name}=${again}` };
        const answer = await refused(test, asked, 'invalid_request', COUNTED);
        expect(oauthErrorOf(answer)).toEqual([400, 'invalid_request']);
      }
    }
    // The assertion was not used up by any of them.
    expect((await send(test, { path: '/oauth/token', form })).status).toBe(200);
  });

  it.each([
    ['Basic', 'Basic cGVyX3g6Y2FuYXJ5'],
    ['Bearer', 'Bearer canary'],
    ['DPoP', 'DPoP canary'],
    ['Basic', '"quoted"'],
    ['Basic', ''],
  ])('the Authorization header beside the assertion: %s', async (scheme, authorization) => {
    const asked = {
      path: '/oauth/token',
      headers: { authorization },
      form: await formWith(),
    };
    const answer = await refused(test, asked, 'invalid_client', COUNTED);
    expect(oauthErrorOf(answer)).toEqual([401, 'invalid_client']);
    expect(answer.headers['www-authenticate']).toBe(`${scheme} realm="sallyport"`);
  });

  it.each<[string, Record<string, string>, (form: string) => string | Buffer, DenialCode]>([
    ['JSON', { 'content-type': 'application/json' }, () => '{}', 'invalid_request'],
    ['plain text', { 'content-type': 'text/plain' }, (form) => form, 'invalid_request'],
    [
      'a form of several parts',
      { 'content-type': 'multipart/form-data; boundary=x' },
      (form) => form,
      'invalid_request',
    ],
    [
      'almost the right type',
      { 'content-type': 'application/x-www-form-urlencodedx' },
      (form) => form,
      'invalid_request',
    ],
    ['no body', {}, () => '', 'invalid_request'],
    ['too large a body', {}, (form) => `${form}&x=${'x'.repeat(70_000)}`, 'body_too_large'],
    ['no UTF-8', {}, (form) => Buffer.concat([Buffer.from(form), Buffer.of(0xff)]), 'invalid_json'],
    ['compressed', { 'content-encoding': 'gzip' }, gzipSync, 'unsupported_media_type'],
  ])('%s for the form', async (_name, headers, bodyOf, code) => {
    const right = new URLSearchParams(await formWith()).toString();
    const asked = { path: '/oauth/token', headers, form: bodyOf(right) };
    expect(oauthErrorOf(await refused(test, asked, code, COUNTED))).toEqual([
      400,
      'invalid_request',
    ]);
  });

  it('parameters in the query count for nothing', async () => {
    const query = new URLSearchParams(await formWith()).toString();
    const asked = { path: `/oauth/token?${query}`, form: '' };
    expect(oauthErrorOf(await refused(test, asked, 'invalid_request', COUNTED))).toEqual([
      400,
      'invalid_request',
    ]);
  });

  it.each(['GET', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'])('%s', async (method) => {
    for (const path of ['/oauth/token', '/oauth/revoke', '/oauth/introspect']) {
      const { status, headers, body } = await send(test, { method, path });
      expect([status, headers['allow'], body['code']]).toEqual([405, 'POST', 'method_not_allowed']);
      expect(headers['cache-control']).toBe('no-store');
    }
  });
});

describe('RFC 9396', () => {
  const detail = (more: object = {}): object => ({ type: 'model_access', ...access(), ...more });

  it.each<[string, () => string]>([
    ['no JSON', () => '[{'],
    ['an object', () => JSON.stringify(detail())],
    ['a text', () => '"model_access"'],
    ['null', () => 'null'],
    ['an empty list', () => '[]'],
    ['a list of null', () => '[null]'],
    ['two objects', () => JSON.stringify([detail(), detail({ run: 'another' })])],
    ['an unknown type', () => JSON.stringify([detail({ type: 'payment_initiation' })])],
    ['no type', () => JSON.stringify([detail({ type: undefined })])],
    ['an unknown field', () => JSON.stringify([detail({ surprise: true })])],
    ['a field of the standard that is not ours', () => JSON.stringify([detail({ locations: [] })])],
    ['a field that is none', () => JSON.stringify([detail()]).replace('{', '{"__proto__":{},')],
    ['no grant', () => JSON.stringify([detail({ grant: undefined })])],
    ['no id of a grant', () => JSON.stringify([detail({ grant: '../grants' })])],
    ['no purpose', () => JSON.stringify([detail({ purpose: undefined })])],
    ['an unknown purpose', () => JSON.stringify([detail({ purpose: 'fun' })])],
    ['no run', () => JSON.stringify([detail({ run: undefined })])],
    ['an empty run', () => JSON.stringify([detail({ run: '' })])],
    ['a run of control characters', () => JSON.stringify([detail({ run: 'a\u0000b' })])],
    ['a run that is very long', () => JSON.stringify([detail({ run: 'r'.repeat(121) })])],
    ['no models at all', () => JSON.stringify([detail({ models: [] })])],
    ['models that are no list', () => JSON.stringify([detail({ models: 'model-a-1' })])],
    ['an unknown operation', () => JSON.stringify([detail({ operations: ['telepathy'] })])],
    ['an unknown feature', () => JSON.stringify([detail({ features: { flight: true } })])],
    ['a feature that is no switch', () => JSON.stringify([detail({ features: { tools: 'yes' } })])],
    ['a count below one', () => JSON.stringify([detail({ features: { n: 0 } })])],
    [
      'a count without end',
      () => JSON.stringify([detail()]).replace('}]', ',"features":{"n":1e999}}]'),
    ],
    ['something very deep', () => `${'['.repeat(8_000)}${']'.repeat(8_000)}`],
  ])('%s', async (_name, details) => {
    const form = await formWith({ authorization_details: details() });
    const answer = await refused(test, { path: '/oauth/token', form }, 'invalid_request', COUNTED);
    expect(oauthErrorOf(answer)).toEqual([400, 'invalid_authorization_details']);
  });

  it.each<[string, object, DenialCode]>([
    ['a grant that does not exist', { grant: NO_GRANT }, 'grant_unknown'],
    ['a model beyond the grant', { models: ['model-a-1', 'model-c-1'] }, 'model_not_granted'],
    ['a feature beyond it', { features: { tools: true } }, 'feature_not_granted'],
    ['more answers', { features: { n: 2 } }, 'feature_not_granted'],
    ['more output', { features: { maxOutputTokens: 1001 } }, 'feature_not_granted'],
    ['a header beyond it', { features: { betaHeaders: ['context-1m'] } }, 'feature_not_granted'],
    ['a purpose that is not granted', { purpose: 'bias' }, 'purpose_not_granted'],
    ['a purpose that is excluded', { purpose: 'privacy_leakage' }, 'purpose_not_granted'],
  ])('%s', async (_name, more, code) => {
    const form = await formWith({ authorization_details: JSON.stringify([detail(more)]) });
    const answer = await refused(test, { path: '/oauth/token', form }, code, ENTERED);
    expect(oauthErrorOf(answer)).toEqual([400, 'invalid_authorization_details']);
  });

  it('an operation beyond the grant', async () => {
    const narrow = await makeActiveGrant(test, people, { operations: ['models'] });
    const asked = detail({ grant: narrow.id, operations: ['models', 'messages'] });
    const form = await formWith({ authorization_details: JSON.stringify([asked]) });
    const answer = await refused(
      test,
      { path: '/oauth/token', form },
      'operation_not_granted',
      ENTERED,
    );
    expect(oauthErrorOf(answer)).toEqual([400, 'invalid_authorization_details']);
  });
});

describe('RFC 8707', () => {
  it.each<[string, () => string]>([
    ['the other resource', () => `${test.url}/api/v1`],
    ['one of another server', () => 'https://other.example/v1'],
    ['one with a fragment', () => `${test.url}/v1#x`],
    ['one that is relative', () => '/v1'],
    ['one below ours', () => `${test.url}/v1/models`],
  ])('%s', async (_name, resource) => {
    const form = await formWith({ resource: resource() });
    const answer = await refused(test, { path: '/oauth/token', form }, 'invalid_request', COUNTED);
    expect(oauthErrorOf(answer)).toEqual([400, 'invalid_target']);
  });
});

describe.each(['/oauth/revoke', '/oauth/introspect'])('%s', (path) => {
  it.each<[string, Changes, number, string, DenialCode]>([
    ['no token', { token: undefined }, 400, 'invalid_request', 'invalid_request'],
    ['an empty token', { token: '' }, 400, 'invalid_request', 'invalid_request'],
    ['nobody', { client_assertion: undefined }, 401, 'invalid_client', 'invalid_client'],
    [
      'a forged assertion',
      { client_assertion: 'e30.e30.AAAA' },
      401,
      'invalid_client',
      'invalid_client',
    ],
    ['somebody else', { client_id: 'per_x' }, 401, 'invalid_client', 'invalid_client'],
  ])('%s', async (_name, changes, status, error, code) => {
    const right: Changes = {
      client_assertion_type: ASSERTION_TYPE,
      client_assertion: await signAssertion(test, people.researcher),
      token: 'nonsense',
    };
    const form = Object.fromEntries(
      Object.entries({ ...right, ...changes }).filter(([, value]) => value !== undefined),
    ) as Record<string, string>;
    expect(oauthErrorOf(await refused(test, { path, form }, code, COUNTED))).toEqual([
      status,
      error,
    ]);
  });

  it('an assertion that was used before', async () => {
    const form = {
      client_assertion_type: ASSERTION_TYPE,
      client_assertion: await signAssertion(test, people.researcher),
      token: 'nonsense',
    };
    expect((await send(test, { path, form })).status).toBe(200);
    const answer = await refused(test, { path, form }, 'assertion_replayed', COUNTED);
    expect(oauthErrorOf(answer)).toEqual([401, 'invalid_client']);
  });
});
