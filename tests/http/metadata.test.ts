import { createLocalJWKSet, decodeJwt, jwtVerify } from 'jose';
import request from 'supertest';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { getToken, makePeople, type People } from '../support/people.ts';
import { startTestBroker, type TestBroker } from '../support/test-broker.ts';

let test: TestBroker;
let people: People;

beforeAll(async () => {
  test = await startTestBroker();
  people = await makePeople(test);
});
afterAll(() => test.close());

describe('RFC 8414', () => {
  it('says where everything is, and only what there is', async () => {
    const answer = await request(test.url).get('/.well-known/oauth-authorization-server');
    expect(answer.status).toBe(200);
    expect(answer.body).toMatchObject({
      issuer: test.url,
      token_endpoint: `${test.url}/oauth/token`,
      revocation_endpoint: `${test.url}/oauth/revoke`,
      jwks_uri: `${test.url}/oauth/jwks`,
      introspection_endpoint: `${test.url}/oauth/introspect`,
      grant_types_supported: ['client_credentials', 'urn:ietf:params:oauth:grant-type:jwt-bearer'],
      response_types_supported: [],
      token_endpoint_auth_methods_supported: ['private_key_jwt'],
      authorization_details_types_supported: ['model_access'],
      dpop_signing_alg_values_supported: expect.arrayContaining(['EdDSA', 'ES256']) as string[],
    });
    for (const key of ['token_endpoint', 'revocation_endpoint', 'introspection_endpoint'])
      expect((await request(answer.body[key] as string).post('')).status).toBe(400);
    expect((await request(answer.body.service_documentation as string).get('')).status).toBe(200);
  });

  it('the published key verifies tokens, and is public only', async () => {
    const answer = await request(test.url).get('/oauth/jwks').buffer(true);
    expect(answer.headers['content-type']).toMatch(/^application\/jwk-set\+json/);
    const jwks = JSON.parse(answer.text) as { keys: Record<string, unknown>[] };
    expect(Object.keys(jwks.keys[0] ?? {}).sort()).toEqual([
      'alg',
      'crv',
      'kid',
      'kty',
      'use',
      'x',
    ]);
    const token = await getToken(test, people.lead);
    const { payload } = await jwtVerify(token, createLocalJWKSet(jwks as never), {
      issuer: test.url,
      audience: `${test.url}/api/v1`,
      typ: 'at+jwt',
    });
    expect(payload.sub).toBe(people.lead.id);
  });
});

describe('an issuer identifier of its own', () => {
  it('without a path has its metadata at the one place', async () => {
    const issuer = 'https://northwall.example';
    const other = await startTestBroker({ server: { issuer } });
    try {
      const path = '/.well-known/oauth-authorization-server';
      expect((await request(other.url).get(path)).body).toMatchObject({ issuer });
      for (const elsewhere of ['/', '/sallyport'])
        expect((await request(other.url).get(`${path}${elsewhere}`)).status).toBe(404);
    } finally {
      await other.close();
    }
  });

  it('may hold what Express would read as a pattern', async () => {
    const path = '/.well-known/oauth-authorization-server';
    for (const part of ['/a+b', '/(a)', '/:lab', '/*any']) {
      const other = await startTestBroker({ server: { issuer: `https://id.example${part}` } });
      try {
        expect((await request(other.url).get(`${path}${part}`)).status).toBe(200);
        expect((await request(other.url).get(`${path}/another`)).status).toBe(404);
      } finally {
        await other.close();
      }
    }
  });

  it('stands in metadata and tokens, and is what assertions are addressed to', async () => {
    const issuer = 'https://northwall.example/sallyport';
    const other = await startTestBroker({ server: { issuer } });
    try {
      const { lead } = await makePeople(other);
      const path = '/.well-known/oauth-authorization-server';
      const metadata = await request(other.url).get(path);
      expect(metadata.body).toMatchObject({ issuer, token_endpoint: `${other.url}/oauth/token` });
      // RFC 8414, section 3.1: where clients look that know the issuer alone.
      const ofIssuer = await request(other.url).get(`${path}/sallyport`);
      expect([ofIssuer.status, ofIssuer.body]).toEqual([200, metadata.body]);
      expect((await request(other.url).post(`${path}/sallyport`)).status).toBe(405);
      for (const elsewhere of ['/', '/sallyport/', '/sallyport/x', '/other'])
        expect((await request(other.url).get(`${path}${elsewhere}`)).status).toBe(404);
      const token = await getToken(other, lead);
      expect(decodeJwt(token)).toMatchObject({ iss: issuer, aud: `${other.url}/api/v1` });
      const me = await request(other.url).get('/api/v1/me').auth(token, { type: 'bearer' });
      expect(me.status).toBe(200);
    } finally {
      await other.close();
    }
  });
});

describe('RFC 9728', () => {
  it.each([
    ['', ''],
    ['/v1', '/v1'],
    ['/api/v1', '/api/v1'],
  ])('the document at "%s" names the resource that it was asked for', async (inserted, path) => {
    const answer = await request(test.url).get(`/.well-known/oauth-protected-resource${inserted}`);
    expect(answer.status).toBe(200);
    expect(answer.body).toMatchObject({
      resource: `${test.url}${path}`,
      authorization_servers: [test.url],
      bearer_methods_supported: ['header'],
    });
  });

  it('there is none for other paths, and nothing but GET', async () => {
    const other = await request(test.url).get('/.well-known/oauth-protected-resource/v2');
    expect([other.status, other.body.code]).toEqual([404, 'unknown_path']);
    const post = await request(test.url).post('/.well-known/oauth-protected-resource').send('x');
    expect([post.status, post.headers['allow']]).toEqual([405, 'GET, HEAD']);
  });
});
