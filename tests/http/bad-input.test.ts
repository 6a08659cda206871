import { request as httpRequest } from 'node:http';
import request from 'supertest';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DENIALS } from '../../src/core/denials.ts';
import { Api } from '../support/api.ts';
import { grantInput } from '../support/grants.ts';
import { makeKey, makePeople, type People } from '../support/people.ts';
import { startTestBroker, type TestBroker } from '../support/test-broker.ts';
import { NO_GRANT } from './route-samples.ts';

let test: TestBroker;
let people: People;
let api: Api;
let before: string;

beforeAll(async () => {
  test = await startTestBroker();
  people = await makePeople(test);
  api = new Api(test);
  await Promise.all([api.tokenOf(people.admin), api.tokenOf(people.lead)]);
  before = state();
});
afterAll(() => test.close());

/** Everything that a request could change, but the record of its refusal. */
function state(): string {
  const { readers } = test.broker;
  const all = { limit: 1000 };
  return JSON.stringify([
    readers.listLabs(all),
    readers.listPeople(all, {}),
    readers.listGrants(all, {}),
    readers.listOrders(all, {}),
    readers.listTokens(all, {}),
  ]);
}

interface RawAnswer {
  status: number;
  headers: Record<string, unknown>;
  body: { code: string; status: number; errors?: { path: string; message: string }[] };
}

/** Sends exactly these bytes and headers; no library corrects a path or a body. */
async function send(
  method: string,
  path: string,
  body?: string | Buffer,
  headers: Record<string, string> = { 'content-type': 'application/json' },
): Promise<RawAnswer> {
  const token = await api.tokenOf(people.admin);
  const { hostname, port } = new URL(test.url);
  return new Promise((resolve, reject) => {
    const sent = httpRequest(
      {
        hostname,
        port,
        path,
        method,
        headers: {
          authorization: `Bearer ${token}`,
          // Node leaves the length out for a GET, and the body would be read as the next request.
          ...(body === undefined ? {} : { 'content-length': Buffer.byteLength(body), ...headers }),
        },
      },
      (res) => {
        const chunks: Buffer[] = [];
        res.on('data', (chunk: Buffer) => chunks.push(chunk));
        res.on('end', () =>
          resolve({
            status: res.statusCode ?? 0,
            headers: res.headers,
            body: JSON.parse(Buffer.concat(chunks).toString()) as RawAnswer['body'],
          }),
        );
      },
    );
    sent.on('error', reject);
    sent.end(body);
  });
}

const LABS = '/api/v1/labs';
const lab = { name: 'A lab', kind: 'partner' };

const BAD: [string, string, Parameters<typeof send>][] = [
  ['malformed JSON', 'invalid_json', ['POST', LABS, '{"name":']],
  ['JSON with more behind it', 'invalid_json', ['POST', LABS, '{} {}']],
  ['an empty text', 'invalid_request', ['POST', LABS, '']],
  [
    'bytes that are not UTF-8',
    'invalid_json',
    ['POST', LABS, Buffer.from([0x22, 0xff, 0xfe, 0x22])],
  ],
  ['a list', 'invalid_request', ['POST', LABS, '[]']],
  ['null', 'invalid_request', ['POST', LABS, 'null']],
  ['a number', 'invalid_request', ['POST', LABS, '1']],
  ['no body', 'invalid_request', ['POST', LABS]],
  ['a wrong type', 'invalid_request', ['POST', LABS, JSON.stringify({ ...lab, name: 7 })]],
  ['an empty name', 'invalid_request', ['POST', LABS, JSON.stringify({ ...lab, name: '' })]],
  [
    'a name with a line break',
    'invalid_request',
    ['POST', LABS, JSON.stringify({ ...lab, name: 'a\nb' })],
  ],
  [
    'a name that is too long',
    'invalid_request',
    ['POST', LABS, JSON.stringify({ ...lab, name: 'a'.repeat(121) })],
  ],
  ['an unknown field', 'invalid_request', ['POST', LABS, JSON.stringify({ ...lab, host: true })]],
  [
    '__proto__',
    'invalid_request',
    ['POST', LABS, '{"name":"A lab","kind":"partner","__proto__":{"x":1}}'],
  ],
  ['deep nesting', 'invalid_request', ['POST', LABS, '['.repeat(200_000) + ']'.repeat(200_000)]],
  [
    'more than a megabyte',
    'body_too_large',
    ['POST', LABS, JSON.stringify({ ...lab, name: 'a'.repeat(1_100_000) })],
  ],
  [
    'a form',
    'unsupported_media_type',
    ['POST', LABS, 'name=A', { 'content-type': 'application/x-www-form-urlencoded' }],
  ],
  ['no content type', 'unsupported_media_type', ['POST', LABS, JSON.stringify(lab), {}]],
  [
    'another charset',
    'unsupported_media_type',
    ['POST', LABS, JSON.stringify(lab), { 'content-type': 'application/json; charset=utf-16' }],
  ],
  [
    'a compressed body',
    'unsupported_media_type',
    [
      'POST',
      LABS,
      JSON.stringify(lab),
      { 'content-type': 'application/json', 'content-encoding': 'gzip' },
    ],
  ],
  ['a body where none belongs', 'invalid_request', ['GET', LABS, '{}']],
  ['an unknown parameter', 'invalid_request', ['GET', `${LABS}?sort=name`]],
  ['a parameter given twice', 'invalid_request', ['GET', `${LABS}?limit=1&limit=2`]],
  ['a limit of none', 'invalid_request', ['GET', `${LABS}?limit=0`]],
  ['a limit that is too high', 'invalid_request', ['GET', `${LABS}?limit=201`]],
  ['a limit that is no number', 'invalid_request', ['GET', `${LABS}?limit=ten`]],
  ['a cursor that we did not make', 'invalid_request', ['GET', `${LABS}?cursor=JyBPUiAxPTE`]],
  [
    'a filter that is no id',
    'invalid_request',
    ['GET', `/api/v1/grants?lab=${encodeURIComponent("' OR 1=1 --")}`],
  ],
  ['a state that there is not', 'invalid_request', ['GET', '/api/v1/grants?state=open']],
  [
    'SQL in an id',
    'invalid_request',
    ['GET', `/api/v1/grants/${encodeURIComponent("x'; DROP TABLE grants; --")}`],
  ],
  [
    'an id of another kind',
    'invalid_request',
    ['GET', `/api/v1/grants/${NO_GRANT.replace('grt', 'lab')}`],
  ],
  ['an id in capitals', 'invalid_request', ['GET', `/api/v1/grants/${NO_GRANT.toUpperCase()}`]],
  ['an id that is too long', 'invalid_request', ['GET', `/api/v1/grants/grt_${'0'.repeat(2000)}`]],
  ['NUL in an id', 'invalid_request', ['GET', `/api/v1/grants/${NO_GRANT}%00`]],
  ['a path in an id', 'invalid_request', ['GET', '/api/v1/grants/..%2f..%2flabs']],
  ['dots in the path', 'unknown_path', ['GET', '/api/v1/grants/../labs']],
  ['a path that is not well encoded', 'invalid_request', ['GET', '/api/v1/grants/%E0%A4%A']],
  ['a path in an endpoint', 'invalid_request', ['GET', '/api/v1/endpoints/..%2f..%2fetc%2fpasswd']],
  ['an index below none', 'invalid_request', ['GET', '/api/v1/log/entries/-1']],
  ['an index that is no whole number', 'invalid_request', ['GET', '/api/v1/log/entries/1.5']],
  [
    'an index that is too large',
    'invalid_request',
    ['GET', '/api/v1/log/entries/9007199254740993'],
  ],
  ['an unknown path', 'unknown_path', ['GET', '/api/v1/labz']],
  ['a slash too many', 'unknown_path', ['GET', `${LABS}/`]],
  ['another case', 'unknown_path', ['GET', '/api/v1/Labs']],
  ['another version', 'unknown_path', ['GET', '/api/v2/labs']],
  ['a wrong method', 'method_not_allowed', ['DELETE', LABS]],
  ['OPTIONS', 'method_not_allowed', ['OPTIONS', LABS]],
  ['PATCH', 'method_not_allowed', ['PATCH', `/api/v1/grants/${NO_GRANT}`, '{}']],
  [
    'a tile of entries, by who may not read all',
    'role_required',
    ['GET', '/api/v1/log/tile/entries/000'],
  ],
  ['a tile with dots', 'not_found', ['GET', '/api/v1/log/tile/0/..%2f..%2f000']],
  ['a tile beyond the log', 'not_found', ['GET', '/api/v1/log/tile/0/x999/999']],
];

describe('bad input', () => {
  it.each(BAD)('%s: %s, and nothing changes', async (_name, code, call) => {
    const answer = await send(...call);
    expect(answer.body).toMatchObject({ code, status: answer.status });
    expect(answer.status).toBe(DENIALS[code as keyof typeof DENIALS].status);
    expect(answer.headers['content-type']).toMatch(/^application\/problem\+json/);
    expect(state()).toBe(before);
  });

  it('every refusal of a known caller is on record with the same code', async () => {
    const size = test.broker.readers.logSize();
    const answer = await send('POST', LABS, '{"name":');
    const [entry] = test.broker.readers.listEntries({ from: size, limit: 1 });
    expect(JSON.parse(String(entry?.bytes))).toMatchObject({
      kind: 'action.denied',
      actor: { person: people.admin.id },
      ref: answer.headers['x-request-id'],
      reason: 'invalid_json',
      data: { action: 'lab.create' },
    });
  });

  it('what a client writes as a name of a field does not get into the record', async () => {
    const size = test.broker.readers.logSize();
    const answer = await api.post(people.admin, '/labs', { ...lab, 'sk-canary-9': 1 });
    expect(answer.body.errors[0].path).toBe('sk-canary-9');
    const entry = String(test.broker.readers.readEntry(size)?.bytes);
    expect(JSON.parse(entry)).toMatchObject({ kind: 'action.denied', reason: 'invalid_request' });
    expect(entry).not.toContain('canary');
  });

  it('wrong methods say which are right', async () => {
    const answer = await send('DELETE', LABS);
    expect(answer.headers['allow']).toBe('GET, HEAD, POST');
  });

  it('errors name every field and say what is wrong, without the values', async () => {
    const secret = 'sk-canary-0123456789';
    const spec = grantInput(people);
    const answer = await api.post(people.lead, '/grants', {
      ...spec,
      title: 5,
      window: undefined,
      people: [{ person: secret }],
      operations: [secret],
      limits: { requestsPerMinute: secret },
      extra: secret,
    });
    expect([answer.status, answer.body.code]).toEqual([400, 'invalid_request']);
    expect(JSON.stringify(answer.body)).not.toContain(secret);
    const errors = answer.body.errors as { path: string; message: string }[];
    expect(errors.map((error) => error.path).sort()).toEqual([
      'extra',
      'limits.requestsPerMinute',
      'operations.0',
      'people.0.person',
      'title',
      'window',
    ]);
    expect(errors.find((error) => error.path === 'extra')?.message).toBe('is not a known field');
    expect(errors.find((error) => error.path === 'window')?.message).toMatch(/^is missing/);
    expect(errors.find((error) => error.path === 'people.0.person')?.message).toContain(
      'must be the id of a person',
    );
  });

  it.each([
    ['window', { window: { from: '2030-01-02T00:00:00Z', until: '2030-01-01T00:00:00Z' } }],
    ['window', { window: { from: 'tomorrow', until: '2030-01-01T00:00:00Z' } }],
    ['purposes', { purposes: { allowed: ['bias'], excluded: ['bias'] } }],
    ['purposes', { purposes: { allowed: ['world_domination'] } }],
    ['people', { people: [] }],
    ['networks', { networks: ['10.0.0.1/99'] }],
    ['budgets', { budgets: { tokens: -1 } }],
    ['budgets', { budgets: { spendUsd: 1e308 } }],
    ['tokenLifetimeSeconds', { tokenLifetimeSeconds: 86_400 }],
    ['binding', { binding: 'mtls' }],
    ['transcriptRetentionDays', { transcripts: 'full' }],
    ['transcripts', { transcripts: 'everything' }],
    ['features', { features: { telepathy: true } }],
  ])('a grant with a wrong %s', async (field, changes) => {
    const answer = await api.post(people.lead, '/grants', { ...grantInput(people), ...changes });
    expect([answer.status, answer.body.code]).toEqual([400, 'invalid_request']);
    expect(answer.body.errors[0].path).toContain(field);
    expect(state()).toBe(before);
  });

  it('attributes of people are bounded', async () => {
    const person = {
      lab: people.partner.id,
      name: 'Max',
      roles: ['researcher'],
      publicKey: makeKey().publicKey,
    };
    const many = Object.fromEntries(Array.from({ length: 33 }, (_, i) => [`a${i}`, 'x']));
    for (const attributes of [many, { 'a b': 'x' }, { a: 'x'.repeat(501) }, { a: 1 }, []]) {
      const answer = await api.post(people.lead, '/people', { ...person, attributes });
      expect([answer.status, answer.body.code]).toEqual([400, 'invalid_request']);
    }
    expect(state()).toBe(before);
  });

  it('two different Authorization headers are refused', async () => {
    const token = await api.tokenOf(people.admin);
    const headers = ['Host', 'x', 'Authorization', `Bearer ${token}`, 'Authorization', 'Bearer b'];
    const { hostname, port } = new URL(test.url);
    const text = await new Promise<string>((resolve, reject) => {
      httpRequest({ hostname, port, path: '/api/v1/me', headers }, (res) => {
        let all = '';
        res.setEncoding('utf8');
        res.on('data', (part: string) => (all += part));
        res.on('end', () => resolve(all));
      })
        .on('error', reject)
        .end();
    });
    expect(JSON.parse(text)).toMatchObject({ status: 400, code: 'conflicting_credentials' });
  });

  it('a HEAD is a GET without its body', async () => {
    const answer = await request(test.url).head('/healthz');
    expect([answer.status, answer.text]).toEqual([200, undefined]);
  });
});
