/** Every way in which a proof of possession can be wrong (RFC 9449): at the token endpoint, the gateway, the control API. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { DenialCode } from '../../src/core/denials.ts';
import type { Grant } from '../../src/core/grants.ts';
import { macWith, noSignature, signedWith } from '../support/forged-jwt.ts';
import { makeActiveGrant } from '../support/grants.ts';
import { makePeople, tokenForm, type People } from '../support/people.ts';
import { hashOf, ProofKey, type ProofParts } from '../support/proofs.ts';
import { refused, send, type RawAnswer, type RawRequest } from '../support/refusals.ts';
import { SetClock } from '../support/set-clock.ts';
import { startTestBroker, type TestBroker } from '../support/test-broker.ts';

const clock = new SetClock();
let test: TestBroker;
let people: People;
let bound: Grant;
const key = new ProofKey();
const other = new ProofKey();

beforeAll(async () => {
  test = await startTestBroker({ clock: clock.read });
  people = await makePeople(test);
  bound = await makeActiveGrant(test, people, { binding: 'dpop' });
});
afterAll(() => test.close());

type Door = 'token_endpoint' | 'gateway' | 'control';
type Resource = Exclude<Door, 'token_endpoint'>;
const RESOURCES: Resource[] = ['gateway', 'control'];
const DOORS: Door[] = ['token_endpoint', ...RESOURCES];
const TARGET = {
  token_endpoint: ['POST', '/oauth/token'],
  gateway: ['GET', '/v1/models'],
  control: ['GET', '/api/v1/me'],
} as const;

/** Bound to `key`, both; fresh for each test, as the clock moves in some. */
let tokens: Record<Resource, string>;
let unbound: string;

const access = () => ({ grant: bound.id, purpose: 'scheming', run: 'a run' }) as const;

async function getToken(forGateway: boolean, proven: boolean): Promise<string> {
  const form = await tokenForm(test, people.researcher, forGateway ? access() : undefined);
  const dpop: RawRequest['headers'] = proven
    ? { dpop: key.prove(test, TARGET.token_endpoint, undefined) }
    : {};
  const answer = await send(test, { path: '/oauth/token', headers: dpop, form });
  expect([answer.status, answer.body['token_type']]).toEqual([200, proven ? 'DPoP' : 'Bearer']);
  return String(answer.body['access_token']);
}

beforeEach(async () => {
  tokens = { gateway: await getToken(true, true), control: await getToken(false, true) };
  unbound = await getToken(false, false);
});

const tokenAt = (door: Door): string | undefined =>
  door === 'token_endpoint' ? undefined : tokens[door];

/** A request that is right in every part, with these proofs. */
async function ask(door: Door, proofs: string | string[]): Promise<RawRequest> {
  const [method, path] = TARGET[door];
  const dpop = { dpop: proofs };
  if (door === 'token_endpoint')
    return {
      method,
      path,
      headers: dpop,
      form: await tokenForm(test, people.researcher, access()),
    };
  return { method, path, headers: { authorization: `DPoP ${tokens[door]}`, ...dpop } };
}

const prove = (door: Door, parts: ProofParts = {}, by = key): string =>
  by.prove(test, TARGET[door], tokenAt(door), parts);

const metadataOf = (door: Resource): string =>
  `resource_metadata="${test.url}/.well-known/oauth-protected-resource${door === 'gateway' ? '/v1' : '/api/v1'}"`;

/** Status and error: of RFC 9449, section 5, at the token endpoint; of section 7.1 where tokens are used. */
function errorAt(door: Door, answer: RawAnswer): [number, unknown] {
  if (door !== 'token_endpoint') return challengeAt(door, answer);
  const { status, headers, body } = answer;
  return [status, headers['www-authenticate'] ?? body['error']];
}

/** Status and error of a challenge in the scheme DPoP, of which the order of parts does not matter. */
function challengeAt(door: Resource, { status, headers }: RawAnswer): [number, unknown] {
  const challenge = headers['www-authenticate'] ?? '';
  const [, error] = /^DPoP (?:.+, )?error="([a-z_]+)"/.exec(challenge) ?? [];
  const isWhole = /\balgs="[A-Za-z0-9 ]+"/.test(challenge) && challenge.endsWith(metadataOf(door));
  return [status, isWhole ? error : challenge];
}

const errorFor = (door: Door, error: string): [number, string] => [
  door === 'token_endpoint' ? 400 : 401,
  error,
];

const sent = (members: object): ProofParts => ({ claims: { ...members } });
const headed = (members: object): ProofParts => ({ header: { ...members } });

const DEFECTS: [string, (door: Door) => ProofParts][] = [
  ['no type', () => headed({ typ: undefined })],
  ['another type', () => headed({ typ: 'JWT' })],
  ['the type of an access token', () => headed({ typ: 'at+jwt' })],
  ['alg none', () => ({ header: { alg: 'none' }, signer: noSignature })],
  ['alg none, with the signature left on', () => headed({ alg: 'none' })],
  [
    'HS256 with the public key',
    () => ({
      header: { alg: 'HS256' },
      signer: macWith(Buffer.from(String(key.publicJwk['x']), 'base64url')),
    }),
  ],
  [
    'HS256 with a key of its own',
    () => ({
      header: { alg: 'HS256', jwk: { kty: 'oct', k: 'c2VjcmV0' } },
      signer: macWith('secret'),
    }),
  ],
  ['the alg of another kind of key', () => headed({ alg: 'ES256' })],
  ['no key', () => headed({ jwk: undefined })],
  ['a key that is no object', () => headed({ jwk: 'key' })],
  ['the private key', () => headed({ jwk: key.privateJwk })],
  ['crit', () => headed({ crit: ['exp'] })],
  ['jku', () => headed({ jku: 'https://evil.example/keys' })],
  ['x5u', () => headed({ x5u: 'https://evil.example/cert' })],
  ['x5c', () => headed({ x5c: ['MIIB'] })],
  ["another key's signature", () => ({ signer: signedWith(other.privateKey) })],
  ['no signature', () => ({ signer: noSignature })],
  ['no method', () => sent({ htm: undefined })],
  ['another method', () => sent({ htm: 'PUT' })],
  ['the method in other letters', (door) => sent({ htm: TARGET[door][0].toLowerCase() })],
  ['no target', () => sent({ htu: undefined })],
  ['another path', (door) => sent({ htu: `${test.url}${TARGET[door][1]}/x` })],
  [
    'another door',
    (door) => sent({ htu: `${test.url}${TARGET[door === 'gateway' ? 'control' : 'gateway'][1]}` }),
  ],
  ['another host', (door) => sent({ htu: `https://other.example${TARGET[door][1]}` })],
  [
    'another scheme',
    (door) => sent({ htu: `${test.url.replace('http:', 'https:')}${TARGET[door][1]}` }),
  ],
  ['a path alone', (door) => sent({ htu: TARGET[door][1] })],
  [
    'a user in the target',
    (door) => sent({ htu: `${test.url.replace('://', '://u:p@')}${TARGET[door][1]}` }),
  ],
  ['a backslash in the target', (door) => sent({ htu: `${test.url}\\..${TARGET[door][1]}` })],
  ['no time', () => sent({ iat: undefined })],
  ['a time a second past the skew', () => sent({ iat: clock.seconds(31) })],
  ['a time a second past its life and the skew', () => sent({ iat: clock.seconds(-91) })],
  ['an expiry a second past the skew', () => sent({ exp: clock.seconds(-31) })],
  ['not valid before a second past the skew', () => sent({ nbf: clock.seconds(31) })],
  ['a time that is no number', () => sent({ iat: 'now' })],
  ['no jti', () => sent({ jti: undefined })],
  ['a jti that is too short', () => sent({ jti: 'x' })],
  ['a jti that is too long', () => sent({ jti: 'j'.repeat(201) })],
  ['9 KiB', () => sent({ pad: 'x'.repeat(7 * 1024) })],
];

const OF_THE_TOKEN: [string, () => ProofParts][] = [
  ['no hash of the token', () => sent({ ath: undefined })],
  ['the hash of another token', () => sent({ ath: hashOf(unbound) })],
  ['the hash in another encoding', () => sent({ ath: `${hashOf(tokens.gateway)}=` })],
  ['a hash that is no text', () => sent({ ath: [hashOf(tokens.gateway)] })],
];

describe.each(DOORS)('at the %s', (door) => {
  it('a good proof passes, with the next nonce in the answer', async () => {
    const answer = await send(test, await ask(door, prove(door)));
    expect(answer.status).toBe(200);
    expect(answer.headers['dpop-nonce']).toBe(test.broker.nonces.current(clock.now));
  });

  it.each(DEFECTS)('%s', async (_name, partsOf) => {
    const asked = await ask(door, prove(door, partsOf(door)));
    const answer = await refused(test, asked, 'invalid_dpop_proof', { counted: door });
    expect(errorAt(door, answer)).toEqual(errorFor(door, 'invalid_dpop_proof'));
  });

  it.each<[string, (good: string) => string | string[]]>([
    ['two headers', (good) => [good, prove(door)]],
    ['the same header twice', (good) => [good, good]],
    ['two proofs in one header', (good) => `${good}, ${prove(door)}`],
    ['an empty header', () => ''],
    ['words', () => 'one.two.three'],
    ['a proof without its last part', (good) => good.slice(0, good.lastIndexOf('.'))],
  ])('%s', async (_name, headerOf) => {
    const asked = await ask(door, headerOf(prove(door)));
    const answer = await refused(test, asked, 'invalid_dpop_proof', { counted: door });
    expect(errorAt(door, answer)).toEqual(errorFor(door, 'invalid_dpop_proof'));
  });

  it('a proof that was used before', async () => {
    const once = prove(door);
    expect((await send(test, await ask(door, once))).status).toBe(200);
    const again = await refused(test, await ask(door, once), 'invalid_dpop_proof', {
      counted: door,
    });
    expect(errorAt(door, again)).toEqual(errorFor(door, 'invalid_dpop_proof'));
    expect(again.text).toContain('was used before');
  });

  it.each<[string, () => string | undefined]>([
    ['no nonce', () => undefined],
    ['an invented nonce', () => 'A'.repeat(32)],
    ['a nonce of ten minutes ago', () => test.broker.nonces.current(clock.now - 600_000)],
    ['a nonce of the next step', () => test.broker.nonces.current(clock.now + 300_000)],
  ])('%s: the right one is said, and takes nothing but a new proof', async (_name, nonceOf) => {
    const nonce = nonceOf();
    const asked = await ask(door, prove(door, sent({ nonce })));
    const answer = await refused(test, asked, 'use_dpop_nonce', { counted: door });
    expect(errorAt(door, answer)).toEqual(errorFor(door, 'use_dpop_nonce'));
    const next = answer.headers['dpop-nonce'];
    const proof = prove(door, sent({ nonce: next }));
    // At the token endpoint: with the same assertion.
    const again = { ...asked, headers: { ...asked.headers, dpop: proof } };
    expect((await send(test, again)).status).toBe(200);
  });

  it('the nonce of the step before is good still', async () => {
    const before = test.broker.nonces.current(clock.now - 300_000);
    const proof = prove(door, sent({ nonce: before }));
    expect((await send(test, await ask(door, proof))).status).toBe(200);
  });
});

describe.each(RESOURCES)('a bound token at the %s', (door) => {
  const [method, path] = TARGET[door];
  const askWith = (headers: RawRequest['headers']): RawRequest => ({
    method,
    path,
    headers: headers ?? {},
  });

  it.each(OF_THE_TOKEN)('with %s', async (_name, partsOf) => {
    const asked = await ask(door, prove(door, partsOf()));
    const answer = await refused(test, asked, 'invalid_dpop_proof', { counted: door });
    expect(errorAt(door, answer)).toEqual(errorFor(door, 'invalid_dpop_proof'));
  });

  it('with a proof by another key, which is not used up', async () => {
    const asked = await ask(door, prove(door, {}, other));
    // RFC 9449, section 7.1: it is a good proof, and the token is not its maker's.
    for (let i = 0; i < 2; i += 1) {
      const answer = await refused(test, asked, 'invalid_token', { counted: door });
      expect(challengeAt(door, answer)).toEqual([401, 'invalid_token']);
      expect(answer.text).toContain('another key');
    }
    const own = await ask(door, prove(door));
    expect((await send(test, own)).status).toBe(200);
  });

  it('without a proof', async () => {
    const asked = askWith({ authorization: `DPoP ${tokens[door]}` });
    const answer = await refused(test, asked, 'invalid_dpop_proof', { counted: door });
    expect(errorAt(door, answer)).toEqual(errorFor(door, 'invalid_dpop_proof'));
  });

  it('as Bearer, with a proof and without', async () => {
    for (const proof of [{}, { dpop: prove(door) }] as Record<string, string>[]) {
      const asked = askWith({ authorization: `Bearer ${tokens[door]}`, ...proof });
      const answer = await refused(test, asked, 'dpop_required', { counted: door });
      expect(errorAt(door, answer)).toEqual(errorFor(door, 'invalid_token'));
    }
  });

  it('by both schemes at once', async () => {
    const authorization = [`Bearer ${tokens[door]}`, `DPoP ${tokens[door]}`];
    const asked = askWith({ authorization, dpop: prove(door) });
    const answer = await refused(test, asked, 'conflicting_credentials', { counted: door });
    expect(answer.status).toBe(400);
    expect(answer.headers['www-authenticate']).toMatch(/^Bearer error="invalid_request", /);
  });
});

describe('a token without a key', () => {
  it('is not presented as DPoP, which is the scheme of the challenge', async () => {
    const [method, path] = TARGET.control;
    const dpop = key.prove(test, TARGET.control, unbound);
    const headers = { authorization: `DPoP ${unbound}`, dpop };
    const asked = { method, path, headers };
    const answer = await refused(test, asked, 'invalid_token', { counted: 'control' });
    expect(challengeAt('control', answer)).toEqual([401, 'invalid_token']);
    expect(answer.text).toContain('Bearer');
    const bearer = { method, path, headers: { authorization: `Bearer ${unbound}` } };
    expect((await send(test, bearer)).status).toBe(200);
  });
});

describe('x-api-key', () => {
  it.each<[string, () => Record<string, string>, DenialCode, number, string]>([
    ['alone', () => ({}), 'dpop_required', 401, 'invalid_token'],
    ['with a proof', () => ({ dpop: prove('gateway') }), 'dpop_required', 401, 'invalid_token'],
    [
      'beside the right scheme',
      () => ({ authorization: `DPoP ${tokens.gateway}`, dpop: prove('gateway') }),
      'conflicting_credentials',
      400,
      'invalid_request',
    ],
  ])('does not carry a bound token: %s', async (_name, more, code, status, error) => {
    const [method, path] = TARGET.gateway;
    const headers = { 'x-api-key': tokens.gateway, ...more() };
    const answer = await refused(test, { method, path, headers }, code, { counted: 'gateway' });
    expect(challengeAt('gateway', answer)).toEqual([status, error]);
  });
});

describe('a grant that binds', () => {
  it('gives no token without a proof, and says so on record', async () => {
    const form = await tokenForm(test, people.researcher, access());
    const asked = { path: '/oauth/token', form };
    const answer = await refused(test, asked, 'dpop_required', { entry: 'token.denied' });
    expect([answer.status, answer.body['error']]).toEqual([400, 'invalid_dpop_proof']);
  });
});
