import { createHmac, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { SignJWT, UnsecuredJWT, type JWTHeaderParameters, type JWTPayload } from 'jose';
import { afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import type { Person } from '../../src/core/people.ts';
import { authenticateClient, thumbprintOf } from '../../src/oauth/client-assertion.ts';
import { makeKey } from '../support/people.ts';

const ISSUER = 'https://broker.example';
const NOW = 1_800_000_000_000;
const SECONDS = NOW / 1000;

const key = makeKey();
const secondKey = makeKey();
const stranger = makeKey();
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });

let kid: string;
let people: Map<string, Person>;

beforeAll(async () => {
  kid = await thumbprintOf(key.publicKey);
  const secondKid = await thumbprintOf(secondKey.publicKey);
  const first = { kid, x: key.publicKey.x, addedAt: 0 };
  const second = { kid: secondKid, x: secondKey.publicKey.x, addedAt: 0 };
  const person = (id: string, keys: Person['keys'], removedAt: number | null = null): Person => ({
    id,
    labId: 'lab_1',
    name: id,
    roles: ['researcher'],
    attributes: {},
    attributesUntil: {},
    attributesSet: {},
    subject: null,
    keys,
    createdAt: 0,
    removedAt,
  });
  people = new Map(
    [
      person('per_one', [first]),
      person('per_two', [first, second]),
      person('per_none', []),
      person('per_gone', [first], NOW - 1),
    ].map((one) => [one.id, one]),
  );
});
afterEach(() => vi.restoreAllMocks());

interface Parts {
  /** What stands in place of the right claims; undefined leaves one out. */
  claims?: JWTPayload;
  header?: Partial<JWTHeaderParameters>;
  key?: KeyObject | Uint8Array;
}

function sign({
  claims = {},
  header = {},
  key: signer = key.privateKey,
}: Parts = {}): Promise<string> {
  const right = { iss: 'per_one', sub: 'per_one', aud: ISSUER, jti: 'assertion-1', iat: SECONDS };
  return new SignJWT({ ...right, exp: SECONDS + 60, ...claims })
    .setProtectedHeader({ alg: 'EdDSA', kid, ...header })
    .sign(signer);
}

/** For what no library would sign: header and claims as they stand, with a signature of Ed25519's length. */
function forge(header: object, claims: object): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  return `${part(header)}.${part(claims)}.${Buffer.alloc(64, 1).toString('base64url')}`;
}

const authenticate = (jwt: string, now = NOW): ReturnType<typeof authenticateClient> =>
  authenticateClient(jwt, ISSUER, (id) => people.get(id), now);

const refused = { refusal: { code: 'invalid_client' } };

const as = (id: string): JWTPayload => ({ iss: id, sub: id });

describe('a client assertion', () => {
  test('authenticates the person whose key it is signed with', async () => {
    expect(await authenticate(await sign())).toEqual({
      person: people.get('per_one'),
      assertion: {
        kid,
        issuer: 'per_one',
        jti: 'assertion-1',
        expiresAt: (SECONDS + 60 + 30) * 1000 + 1,
      },
    });
  });

  test.each([
    ['the algorithm under its other name', { header: { alg: 'Ed25519' } }],
    ['typ JWT', { header: { typ: 'JWT' } }],
    ['typ client-authentication+jwt', { header: { typ: 'client-authentication+jwt' } }],
    ['the same in full', { header: { typ: 'application/Client-Authentication+JWT' } }],
    ['no kid, where the person has one key', { header: { kid: undefined as never } }],
    ['the kid of one key of several', { claims: as('per_two') }],
    ['neither iat nor nbf', { claims: { iat: undefined } }],
    ['nbf now', { claims: { nbf: SECONDS } }],
  ] satisfies [string, Parts][])('with %s is taken', async (_name, parts) => {
    await expect(authenticate(await sign(parts))).resolves.toMatchObject({ assertion: { kid } });
  });
});

/** Each defect alone. Beside it, the assertion is right. */
const DEFECTS: [string, Parts | (() => string | Promise<string>)][] = [
  ['alg none', () => new UnsecuredJWT({ ...as('per_one'), aud: ISSUER }).encode()],
  ['alg none, with a signature', () => forge({ alg: 'none', kid }, as('per_one'))],
  [
    'HS256, keyed with the bytes of the public key',
    { header: { alg: 'HS256' }, key: Buffer.from(key.publicKey.x, 'base64url') },
  ],
  ['HS256, keyed with the text of the public key', () => hs256(key.publicKey.x)],
  ['RS256, with a key of its own', { header: { alg: 'RS256' }, key: rsa.privateKey }],
  ['ES256, with a key of its own', { header: { alg: 'ES256' }, key: ec.privateKey }],
  ['an algorithm that is a property of every object', () => forge({ alg: 'toString' }, {})],
  ['crit', () => forge({ alg: 'EdDSA', kid, crit: ['exp'], exp: 1 }, as('per_one'))],
  ['jku', { header: { jku: 'https://keys.example' } }],
  ['x5u', { header: { x5u: 'https://keys.example' } }],
  ['x5c', { header: { x5c: ['AAAA'] } }],
  [
    'an embedded key, signed with that',
    { header: { jwk: stranger.publicKey }, key: stranger.privateKey },
  ],
  ['an embedded key, signed with the right one', { header: { jwk: key.publicKey } }],
  ['a kid that is a number', () => forge({ alg: 'EdDSA', kid: 1 }, as('per_one'))],
  ['a kid that nobody registered', { header: { kid: 'unknown' } }],
  [
    'no kid, where the person has two keys',
    { claims: as('per_two'), header: { kid: undefined as never } },
  ],
  ["the kid of the person's other key", { claims: as('per_two'), key: secondKey.privateKey }],
  ['typ of an access token', { header: { typ: 'at+jwt' } }],
  ['typ of a DPoP proof', { header: { typ: 'dpop+jwt' } }],
  ['typ of an authorization grant', { header: { typ: 'authorization-grant+jwt' } }],
  ['more than 8 KiB', { claims: { filler: 'x'.repeat(6_200) } }],
  ['the token endpoint as audience', { claims: { aud: `${ISSUER}/oauth/token` } }],
  ['our issuer with a slash', { claims: { aud: `${ISSUER}/` } }],
  ['a list of one audience', { claims: { aud: [ISSUER] } }],
  ['a list of two audiences', { claims: { aud: [ISSUER, 'https://other.example'] } }],
  ['no audience', { claims: { aud: undefined } }],
  ['another subject than issuer', { claims: { sub: 'per_two' } }],
  ['no subject', { claims: { sub: undefined } }],
  ['no issuer', { claims: { iss: undefined } }],
  ['an issuer that is no string', { claims: { iss: ['per_one'] as never } }],
  ['no jti', { claims: { jti: undefined } }],
  ['a short jti', { claims: { jti: 'seven77' } }],
  ['a long jti', { claims: { jti: 'j'.repeat(201) } }],
  ['no exp', { claims: { exp: undefined } }],
  ['an exp that is a text', { claims: { exp: String(SECONDS + 60) as never } }],
  ['an exp with a fraction', { claims: { exp: SECONDS + 60.5 } }],
  ['an iat that is a text', { claims: { iat: String(SECONDS) as never } }],
  ['a key that nobody registered', { key: stranger.privateKey }],
  ["another person's key", { key: secondKey.privateKey }],
  ['a person that does not exist', { claims: as('per_unknown') }],
  ['a person who was removed', { claims: as('per_gone') }],
  ['a person without keys', { claims: as('per_none') }],
  ['three words', () => 'one.two.three'],
  ['nothing', () => ''],
  ['two parts', async () => (await sign()).split('.').slice(0, 2).join('.')],
  ['a signature cut short', async () => (await sign()).slice(0, -4)],
  ['a signature that is not base64url', async () => `${await sign()}=`],
  ['claims that are a list', () => forge({ alg: 'EdDSA', kid }, [])],
];

describe('a client assertion is refused, always in the same words, for', () => {
  test.each(DEFECTS)('%s', async (_name, parts) => {
    const jwt = typeof parts === 'function' ? await parts() : await sign(parts);
    const error = await authenticate(jwt).then(
      () => expect.unreachable(),
      (thrown: unknown) => thrown,
    );
    expect(error).toMatchObject(refused);
    expect((error as Error).message).toMatch(/^The broker knows no such person with this key\./);
  });
});

/** The last moment at which each is taken, or the first. */
describe('to the millisecond', () => {
  const exp = (SECONDS + 60 + 30) * 1000;

  test('an expiry is taken 30 s late, and no later; its jti is remembered past that', async () => {
    const jwt = await sign();
    const { assertion } = await authenticate(jwt, exp);
    expect(assertion.expiresAt).toBeGreaterThan(exp);
    await expect(authenticate(jwt, exp + 1)).rejects.toMatchObject(refused);
  });

  test.each(['iat', 'nbf'])('%s is taken 30 s early, and no earlier', async (claim) => {
    const jwt = await sign({ claims: { [claim]: SECONDS + 30 } });
    await expect(authenticate(jwt, NOW)).resolves.toBeDefined();
    await expect(authenticate(jwt, NOW - 1)).rejects.toMatchObject(refused);
  });

  test('an expiry is taken 330 s ahead, and no further', async () => {
    const jwt = await sign({ claims: { exp: SECONDS + 330 } });
    await expect(authenticate(jwt, NOW)).resolves.toBeDefined();
    await expect(authenticate(jwt, NOW - 1)).rejects.toMatchObject(refused);
  });
});

describe('the work does not tell why', () => {
  test.each([
    ['an unknown client', { claims: as('per_unknown') }],
    ['no client', { claims: { iss: undefined } }],
    ['a removed person', { claims: as('per_gone') }],
    ['a person without keys', { claims: as('per_none') }],
    ['an unknown kid', { header: { kid: 'unknown' } }],
    ['no kid and several keys', { claims: as('per_two'), header: { kid: undefined as never } }],
    ['a wrong key', { key: stranger.privateKey }],
    ['an expired one', { claims: { exp: SECONDS - 60 } }],
  ] satisfies [string, Parts][])('%s costs one check of a signature', async (_name, parts) => {
    const jwt = await sign(parts);
    const verify = vi.spyOn(crypto.subtle, 'verify');
    await expect(authenticate(jwt)).rejects.toMatchObject(refused);
    expect(verify).toHaveBeenCalledTimes(1);
  });
});

function hs256(secret: string): string {
  const claims = { ...as('per_one'), aud: ISSUER, jti: 'assertion-1', exp: SECONDS + 60 };
  const signed = forge({ alg: 'HS256', kid }, claims).split('.').slice(0, 2).join('.');
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
}
