import request from 'supertest';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DPOP_ALGORITHMS } from '../../src/oauth/dpop-proof.ts';
import { AUTHORITY, type Action } from '../../src/core/authority.ts';
import { ROUTES } from '../../src/http/route-table.ts';
import type { Route } from '../../src/http/route.ts';
import { Api } from '../support/api.ts';
import {
  getToken,
  makePeople,
  makePerson,
  type People,
  type TestPerson,
} from '../support/people.ts';
import { makeActiveGrant } from '../support/grants.ts';
import { startTestBroker, type TestBroker } from '../support/test-broker.ts';
import { PROTECTED, SAMPLE_AUDIENCE, sampleOf } from './route-samples.ts';

let test: TestBroker;
let people: People & { hostResearcher: TestPerson };
let api: Api;

beforeAll(async () => {
  test = await startTestBroker({ federation: { audiences: [{ issuer: SAMPLE_AUDIENCE }] } });
  const made = await makePeople(test);
  const { admin, host } = made;
  const home = makePerson(test.broker, admin.id, host.id, 'Hal Home', ['researcher']);
  people = { ...made, hostResearcher: await home };
  api = new Api(test);
});
afterAll(() => test.close());

const METADATA = '/.well-known/oauth-protected-resource/api/v1"';

describe('without a good token', () => {
  it.each(PROTECTED.map((route) => [`${route.method} ${route.path}`, route] as const))(
    '%s refuses',
    async (_name, route) => {
      const { path, body } = sampleOf(route, people);
      const call = request(test.url)[route.method](path);
      const answer = await (body ? call.send(body) : call);
      expect(answer.status).toBe(401);
      expect(answer.body).toMatchObject({ code: 'missing_credential', status: 401 });
      expect(answer.headers['content-type']).toMatch(/^application\/problem\+json/);
      // RFC 6750, section 3.1: no error code where no credential was sent.
      const metadata = `resource_metadata="${test.url}${METADATA}`;
      const algorithms = `algs="${DPOP_ALGORITHMS.join(' ')}"`;
      expect(answer.headers['www-authenticate']).toBe(
        `Bearer ${metadata}, DPoP ${algorithms}, ${metadata}`,
      );
      expect(answer.headers['cache-control']).toBe('no-store');
    },
  );

  it.each([
    ['nonsense', 'Bearer nonsense'],
    ['an unsigned token', `Bearer ${unsigned({ alg: 'none', typ: 'at+jwt' })}`],
  ])('%s is an invalid token', async (_name, authorization) => {
    const answer = await request(test.url).get('/api/v1/me').set('authorization', authorization);
    expect(answer.status).toBe(401);
    expect(answer.body.code).toBe('invalid_token');
    expect(answer.headers['www-authenticate']).toContain('error="invalid_token"');
  });

  it('another scheme than Bearer is no credential', async () => {
    const answer = await request(test.url).get('/api/v1/me').auth('user', 'password');
    expect(answer.status).toBe(401);
    expect(answer.headers['www-authenticate']).not.toContain('error');
  });

  it('a token of the gateway is not good here', async () => {
    const grant = await makeActiveGrant(test, people);
    const access = { grant: grant.id, purpose: 'scheming', run: 'r1' } as const;
    const token = await getToken(test, people.researcher, access);
    const answer = await request(test.url)
      .get('/api/v1/me')
      .set('authorization', `Bearer ${token}`);
    expect(answer.status).toBe(401);
    expect(answer.body.code).toBe('invalid_token');
  });

  it('a token in the query is refused by the name of the parameter', async () => {
    const answer = await request(test.url)
      .get('/api/v1/me?access_token=abc')
      .set('authorization', `Bearer ${await api.tokenOf(people.lead)}`);
    expect(answer.status).toBe(400);
    expect(answer.body.errors).toEqual([
      { in: 'query', path: 'access_token', message: 'is not a parameter of this path' },
    ]);
  });

  it('what is refused is counted, and recorded in aggregate', async () => {
    await test.broker.unauthenticated.flush();
    const size = test.broker.readers.logSize();
    for (let i = 0; i < 5; i += 1) await request(test.url).get('/api/v1/me');
    expect(test.broker.readers.logSize()).toBe(size);
    await test.broker.unauthenticated.flush();
    const [entry] = test.broker.readers.listEntries({ from: size, limit: 10 });
    expect(JSON.parse(String(entry?.bytes))).toMatchObject({
      kind: 'request.unauthenticated',
      data: { counts: { 'control missing_credential': 5 } },
    });
  });
});

describe('public routes', () => {
  it('are these and no others', () => {
    const open = ROUTES.filter((route) => route.action === 'public').map((route) => route.path);
    expect(open.sort()).toEqual([
      '/',
      '/api/docs',
      '/api/docs/:asset',
      '/api/v1/invitations/:invitation/join',
      '/api/v1/invitations/:invitation/preview',
      '/api/v1/log/checkpoint',
      '/api/v1/log/checkpoint/witnessed',
      '/api/v1/log/compare',
      '/api/v1/log/keys',
      '/api/v1/log/tile/:level/*tile',
      '/api/v1/log/verifier-key',
      '/api/v1/log/witness-key',
      '/api/v1/log/witnesses',
      '/api/v1/openapi.json',
      '/healthz',
      '/join',
      '/readyz',
      '/witness/add-checkpoint',
    ]);
  });
});

const HOLDERS: [string, keyof typeof people][] = [
  ['host.admin', 'admin'],
  ['host.safety', 'safety'],
  ['host.auditor', 'auditor'],
  ['host.researcher', 'hostResearcher'],
  ['auditor.auditor', 'outsideAuditor'],
  ['partner.lead', 'lead'],
  ['partner.researcher', 'researcher'],
  ['partner.auditor', 'partnerAuditor'],
];

describe.each(HOLDERS)('%s', (role, holder) => {
  const may = (route: Route): boolean => role in AUTHORITY[route.action as Action];
  const named = (routes: Route[]) =>
    routes.map((route) => [`${route.method} ${route.path}`, route] as const);

  it.each(named(PROTECTED.filter(may)))('%s is allowed', async (_name, route) => {
    const { path, body } = sampleOf(route, people);
    const answer = await api.call(
      people[holder] as TestPerson,
      route.method,
      path.replace('/api/v1', ''),
      body,
    );
    // Without a policy, there is nothing to archive.
    const isRefused = answer.status === 409 && answer.body.code === 'not_prunable';
    expect([200, 201, 404]).toContain(isRefused ? 404 : answer.status);
  });

  it.each(named(PROTECTED.filter((route) => !may(route))))(
    '%s is refused, and the refusal is on record',
    async (_name, route) => {
      const who = people[holder] as TestPerson;
      const { path, body } = sampleOf(route, people);
      const size = test.broker.readers.logSize();
      const answer = await api.call(who, route.method, path.replace('/api/v1', ''), body);
      expect(answer.status).toBe(403);
      expect(answer.body.code).toBe('role_required');
      const [entry] = test.broker.readers.listEntries({ from: size, limit: 1 });
      expect(JSON.parse(String(entry?.bytes))).toMatchObject({
        kind: 'action.denied',
        actor: { person: who.id },
        reason: 'role_required',
        data: { action: route.action },
      });
    },
  );
});

function unsigned(header: object): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  return `${part(header)}.${part({ sub: 'per_x' })}.`;
}
