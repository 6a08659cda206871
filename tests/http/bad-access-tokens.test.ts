/** Every way in which an access token can be wrong, at the gateway and at the control API. */
import { createPublicKey, type KeyObject } from 'node:crypto';
import { decodeJwt, decodeProtectedHeader } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Grant } from '../../src/core/grants.ts';
import { signVouching } from '../../src/oauth/lab-vouching.ts';
import { forgeJwt, macWith, noSignature, signedWith, type Members } from '../support/forged-jwt.ts';
import { makeActiveGrant } from '../support/grants.ts';
import { getToken, makeKey, makePeople, signAssertion, type People } from '../support/people.ts';
import { codeOf, refused, send, type RawAnswer, type RawRequest } from '../support/refusals.ts';
import { SetClock } from '../support/set-clock.ts';
import { startTestBroker, type TestBroker } from '../support/test-broker.ts';

const clock = new SetClock();
let test: TestBroker;
let people: People;
let grant: Grant;
/** Good ones. */
let tokens: Record<Door, string>;

beforeAll(async () => {
  test = await startTestBroker({ clock: clock.read });
  people = await makePeople(test);
  grant = await makeActiveGrant(test, people);
  tokens = await freshTokens();
});
afterAll(() => test.close());

async function freshTokens(): Promise<Record<Door, string>> {
  const { researcher } = people;
  const access = { grant: grant.id, purpose: 'scheming', run: 'a run' } as const;
  return {
    gateway: await getToken(test, researcher, access),
    control: await getToken(test, researcher),
  };
}

type Door = 'gateway' | 'control';
const DOORS: Door[] = ['gateway', 'control'];
const PATH = { gateway: '/v1/models', control: '/api/v1/me' };
const METADATA = { gateway: '/v1', control: '/api/v1' };

const ask = (door: Door, headers: RawRequest['headers'] = {}): RawRequest => ({
  method: 'GET',
  path: PATH[door],
  headers,
});
const bearer = (door: Door, token: string): RawRequest =>
  ask(door, { authorization: `Bearer ${token}` });

const challengeOf = ({ status, headers }: RawAnswer): unknown[] => [
  status,
  headers['www-authenticate'],
];

const metadataOf = (door: Door): string =>
  `resource_metadata="${test.url}/.well-known/oauth-protected-resource${METADATA[door]}"`;

/** RFC 6750, section 3, and RFC 9728, section 5.1. */
const invalidTokenAt = (door: Door): unknown[] => [
  401,
  `Bearer error="invalid_token", ${metadataOf(door)}`,
];

const BEARER = /^Bearer /;
/** RFC 9449, section 7.1: the algorithms are said wherever the scheme is. */
const DPOP = /^DPoP algs="[A-Za-z0-9 ]*ES256[A-Za-z0-9 ]*", /;

/** What a challenge in some scheme says. */
function challengeIn(scheme: RegExp, { headers }: RawAnswer): string {
  const challenge = String(headers['www-authenticate']);
  expect(challenge).toMatch(scheme);
  return challenge.replace(scheme, '');
}

/** A good token's parts, with our own key to sign what is made of them. */
interface Good {
  token: string;
  header: Members;
  claims: Members;
  ours: KeyObject;
}

function goodOf(door: Door): Good {
  const token = tokens[door];
  return {
    token,
    header: { ...decodeProtectedHeader(token) },
    claims: decodeJwt(token),
    ours: test.broker.signingKeys.active.privateKey,
  };
}

type Forge = (good: Good) => string | Promise<string>;

const withHeader =
  (more: Members): Forge =>
  ({ header, claims, ours }) =>
    forgeJwt({ ...header, ...more }, claims, signedWith(ours));
const withClaims =
  (more: () => Members): Forge =>
  ({ header, claims, ours }) =>
    forgeJwt(header, { ...claims, ...more() }, signedWith(ours));
const withMac =
  (secretOf: (key: KeyObject) => string | Uint8Array): Forge =>
  ({ header, claims, ours }) =>
    forgeJwt({ ...header, alg: 'HS256' }, claims, macWith(secretOf(createPublicKey(ours))));

const stranger = makeKey();
const xOf = (key: KeyObject): string => key.export({ format: 'jwk' }).x ?? '';

const DEFECTS: [string, Forge][] = [
  ['alg none', ({ header, claims }) => forgeJwt({ ...header, alg: 'none' }, claims, noSignature)],
  ['alg none, with the signature left on', withHeader({ alg: 'none' })],
  ['the other name of the alg', withHeader({ alg: 'Ed25519' })],
  ['HS256 with our public key', withMac((key) => Buffer.from(xOf(key), 'base64url'))],
  ['HS256 with our public key as text', withMac(xOf)],
  [
    'HS256 with our public key as PEM',
    withMac((key) => key.export({ type: 'spki', format: 'pem' })),
  ],
  ['no type', withHeader({ typ: undefined })],
  ['the type of any JWT', withHeader({ typ: 'JWT' })],
  ['the type of a proof', withHeader({ typ: 'dpop+jwt' })],
  ['the type of an assertion', withHeader({ typ: 'authorization-grant+jwt' })],
  ['no kid', withHeader({ kid: undefined })],
  ['a kid of nobody', withHeader({ kid: 'nobody' })],
  ['crit', withHeader({ crit: ['exp'], exp: 1 })],
  ['crit with b64', withHeader({ crit: ['b64'], b64: false })],
  ['jku', withHeader({ jku: 'https://evil.example/keys' })],
  ['x5u', withHeader({ x5u: 'https://evil.example/cert' })],
  ['x5c', withHeader({ x5c: ['MIIB'] })],
  ['our own key embedded', (good) => withHeader({ jwk: test.broker.signingKeys.active.jwk })(good)],
  [
    "a stranger's key embedded",
    ({ header, claims }) =>
      forgeJwt({ ...header, jwk: stranger.publicKey }, claims, signedWith(stranger.privateKey)),
  ],
  [
    "a stranger's signature",
    ({ header, claims }) => forgeJwt(header, claims, signedWith(stranger.privateKey)),
  ],
  [
    "its holder's own signature",
    ({ header, claims }) =>
      forgeJwt(
        { ...header, kid: people.researcher.kid },
        claims,
        signedWith(people.researcher.privateKey),
      ),
  ],
  ['another issuer', withClaims(() => ({ iss: 'https://other.example' }))],
  ['no issuer', withClaims(() => ({ iss: undefined }))],
  ['another audience', withClaims(() => ({ aud: 'https://other.example/v1' }))],
  ['the issuer as audience', withClaims(() => ({ aud: test.url }))],
  ['a list of audiences', withClaims(() => ({ aud: [`${test.url}/v1`, `${test.url}/api/v1`] }))],
  ['no audience', withClaims(() => ({ aud: undefined }))],
  ['no expiry', withClaims(() => ({ exp: undefined }))],
  ['an id that we do not know', withClaims(() => ({ jti: 'tok_00000000000000000000000000' }))],
  ['no id', withClaims(() => ({ jti: undefined }))],
  [
    "its id in another's name",
    withClaims(() => ({ sub: people.admin.id, client_id: people.admin.id })),
  ],
  ['another subject than client', withClaims(() => ({ sub: people.admin.id }))],
  ['9 KiB', withClaims(() => ({ pad: 'x'.repeat(7 * 1024) }))],
  [
    'a tampered claim',
    ({ token, claims }) => {
      const [header, , signature] = token.split('.');
      const changed = JSON.stringify({ ...claims, exp: clock.seconds(99_999) });
      return [header, Buffer.from(changed).toString('base64url'), signature].join('.');
    },
  ],
  ['a client assertion', () => signAssertion(test, people.researcher)],
  [
    'an assertion that we signed for a person',
    ({ ours }) =>
      signVouching(
        { ...test.broker.signingKeys.active, privateKey: ours },
        {
          issuer: test.broker.issuer,
          subject: people.researcher.id,
          audience: `${test.url}/v1`,
          jti: 'tok_00000000000000000000000000',
          issuedAt: clock.seconds() * 1000,
          expiresAt: clock.seconds(60) * 1000,
        },
      ),
  ],
  ['three words', () => 'one.two.three'],
  ['dots', () => '..'],
];

describe.each(DOORS)('at the %s', (door) => {
  it('a good token passes', async () => {
    expect((await send(test, bearer(door, tokens[door]))).status).toBe(200);
  });

  it.each(DEFECTS)('%s', async (_name, forge) => {
    const asked = bearer(door, await forge(goodOf(door)));
    const answer = await refused(test, asked, 'invalid_token', { counted: door });
    expect(challengeOf(answer)).toEqual(invalidTokenAt(door));
  });

  it('a token of the other door', async () => {
    const other = door === 'gateway' ? 'control' : 'gateway';
    const asked = bearer(door, tokens[other]);
    const answer = await refused(test, asked, 'invalid_token', { counted: door });
    expect(challengeOf(answer)).toEqual(invalidTokenAt(door));
    // Seen as good at its own door, it is no better here.
    expect((await send(test, bearer(other, tokens[other]))).status).toBe(200);
    await refused(test, asked, 'invalid_token', { counted: door });
  });

  it('a token is good to the last millisecond, and not a moment longer: we signed it ourselves', async () => {
    const { exp = 0 } = decodeJwt(tokens[door]);
    clock.now = exp * 1000 - 1;
    expect((await send(test, bearer(door, tokens[door]))).status).toBe(200);
    for (clock.now = exp * 1000; clock.now <= exp * 1000 + 1_000; clock.now += 1_000) {
      const answer = await refused(test, bearer(door, tokens[door]), 'token_expired', {
        counted: door,
      });
      expect(challengeOf(answer)).toEqual(invalidTokenAt(door));
    }
    tokens = await freshTokens();
  });

  it('a token that was never seen before it expired', async () => {
    const { exp = 0 } = decodeJwt(tokens[door]);
    clock.now = exp * 1000;
    const asked = bearer(door, tokens[door]);
    const answer = await refused(test, asked, 'token_expired', { counted: door });
    expect(challengeOf(answer)).toEqual(invalidTokenAt(door));
    tokens = await freshTokens();
  });

  it('a token presented as DPoP: the challenge is in the scheme that was refused', async () => {
    for (const [scheme, token] of [
      ['DPoP', tokens[door]],
      ['dpop', 'one.two.three'],
    ] as const) {
      const asked = ask(door, { authorization: `${scheme} ${token}` });
      const answer = await refused(test, asked, 'invalid_token', { counted: door });
      expect(answer.status).toBe(401);
      expect(challengeIn(DPOP, answer)).toBe(`error="invalid_token", ${metadataOf(door)}`);
    }
  });

  it.each<[string, string | undefined]>([
    ['no credential', undefined],
    ['the scheme Basic', 'Basic'],
    ['the scheme bearer:', 'bearer:'],
    ['the scheme Token', 'Token'],
    ['the scheme "Bearer,"', 'Bearer,'],
    ['the scheme DPoPs', 'DPoPs'],
  ])('%s: no error code either', async (_name, scheme) => {
    const authorization = scheme === undefined ? [] : [`${scheme} ${tokens[door]}`];
    const answer = await refused(test, ask(door, { authorization }), 'missing_credential', {
      counted: door,
    });
    expect(answer.status).toBe(401);
    const challenge = String(answer.headers['www-authenticate']);
    expect(challenge).toMatch(/^Bearer resource_metadata="[^"]+", DPoP algs="[^"]*ES256[^"]*"/);
    expect(challenge).not.toContain('error');
  });

  it.each<[string, (token: string) => string[], RegExp]>([
    ['two different', (token) => [`Bearer ${token}`, 'Bearer x'], BEARER],
    ['by both schemes', (token) => [`Bearer ${token}`, `DPoP ${token}`], BEARER],
    ['by both schemes, DPoP first', (token) => [`DPoP ${token}`, `Bearer ${token}`], DPOP],
  ])('credentials: %s', async (_name, headersOf, scheme) => {
    const asked = ask(door, { authorization: headersOf(tokens[door]) });
    const answer = await refused(test, asked, 'conflicting_credentials', { counted: door });
    expect(answer.status).toBe(400);
    expect(challengeIn(scheme, answer)).toBe(`error="invalid_request", ${metadataOf(door)}`);
  });

  it('a token in the query or in a form is none', async () => {
    for (const path of [`${PATH[door]}?access_token=${tokens[door]}`, PATH[door]]) {
      const answer = await send(test, { method: 'GET', path });
      expect([answer.status, codeOf(answer)]).toEqual([401, 'missing_credential']);
      expect(answer.text).not.toContain(tokens[door].slice(-20));
    }
  });
});

describe('x-api-key', () => {
  it('carries a token at the gateway, and nowhere else', async () => {
    const { gateway, control } = tokens;
    expect((await send(test, ask('gateway', { 'x-api-key': gateway }))).status).toBe(200);
    const asked = ask('control', { 'x-api-key': control });
    await refused(test, asked, 'missing_credential', { counted: 'control' });
    const two = ask('gateway', { 'x-api-key': ['x', gateway] });
    const answer = await refused(test, two, 'conflicting_credentials', { counted: 'gateway' });
    expect(answer.status).toBe(400);
  });
});
