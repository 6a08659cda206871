import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { SignJWT, UnsecuredJWT, type JWTHeaderParameters, type JWTPayload } from 'jose';
import { afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { DENIALS, refuse } from '../../src/core/denials.ts';
import type { LabIdentity } from '../../src/core/people.ts';
import { readKeySet, type FoundKey } from '../../src/oauth/key-set.ts';
import { verifyLabAssertion, type LabAssertion } from '../../src/oauth/lab-assertion.ts';

const ISSUER = 'https://broker.example';
const TOKEN_ENDPOINT = `${ISSUER}/oauth/token`;
const LAB = 'https://login.lab.example';
const OTHER_LAB = 'https://login.other.example';
const NOW = 1_800_000_000_000;
const SECONDS = NOW / 1000;

const KEYS = {
  ed: generateKeyPairSync('ed25519'),
  'P-256': generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  'P-384': generateKeyPairSync('ec', { namedCurve: 'P-384' }),
  'P-521': generateKeyPairSync('ec', { namedCurve: 'P-521' }),
  rsa: generateKeyPairSync('rsa', { modulusLength: 2048 }),
};
const pinned = generateKeyPairSync('rsa', { modulusLength: 2048 });
const other = generateKeyPairSync('ed25519');
const stranger = generateKeyPairSync('ed25519');
const twin = generateKeyPairSync('ed25519');

const identity: LabIdentity = { issuer: LAB, jwks: { keys: [] }, setAt: 17 };
const LABS: Record<string, { id: string; identity: LabIdentity }> = {
  [LAB]: { id: 'lab_1', identity },
  [OTHER_LAB]: { id: 'lab_2', identity: { ...identity, issuer: OTHER_LAB } },
};
let keysOf: Record<string, FoundKey[]>;

const published = (publicKey: KeyObject, kid: string, more: object = {}): object => ({
  ...publicKey.export({ format: 'jwk' }),
  ...more,
  kid,
});

beforeAll(async () => {
  const keys = Object.entries(KEYS).map(([kid, { publicKey }]) => published(publicKey, kid));
  keys.push(published(pinned.publicKey, 'pinned', { alg: 'PS256' }));
  keys.push(published(KEYS.ed.publicKey, 'shared'), published(KEYS.rsa.publicKey, 'shared'));
  keys.push(published(KEYS['P-256'].publicKey, 'shared'));
  keys.push(published(KEYS.ed.publicKey, 'twins'), published(twin.publicKey, 'twins'));
  keysOf = {
    lab_1: await readKeySet({ keys }),
    lab_2: await readKeySet({ keys: [published(other.publicKey, 'ed')] }),
  };
});
afterEach(() => vi.restoreAllMocks());

interface Parts {
  /** What stands in place of the right claims; undefined leaves one out. */
  claims?: JWTPayload;
  header?: Partial<JWTHeaderParameters>;
  key?: KeyObject | Uint8Array;
}

function sign({ claims = {}, header = {}, key = KEYS.ed.privateKey }: Parts = {}): Promise<string> {
  const right = { iss: LAB, sub: 'rio@lab', aud: ISSUER, jti: 'assertion-1', iat: SECONDS };
  return new SignJWT({ ...right, exp: SECONDS + 60, ...claims })
    .setProtectedHeader({ alg: 'EdDSA', kid: 'ed', ...header })
    .sign(key);
}

const verify = (jwt: string, now = NOW): Promise<LabAssertion> =>
  verifyLabAssertion(jwt, {
    issuer: ISSUER,
    tokenEndpoint: TOKEN_ENDPOINT,
    now,
    findLab: (issuer) => LABS[issuer],
    findKeys: (labId, _identity, kid = 'ed') =>
      Promise.resolve(keysOf[labId]?.filter((key) => key.kid === kid) ?? []),
  });

async function refusalOf(jwt: string, now?: number): Promise<{ code: string; message: string }> {
  const thrown: unknown = await verify(jwt, now).then(
    () => expect.unreachable(),
    (error: unknown) => error,
  );
  return (thrown as { refusal: { code: string; message: string } }).refusal;
}

describe("a lab's assertion", () => {
  test('names a person, for one use, until it ends', async () => {
    expect(await verify(await sign())).toEqual({
      labId: 'lab_1',
      subject: 'rio@lab',
      assertion: {
        kid: 'ed',
        issuer: LAB,
        jti: 'assertion-1',
        expiresAt: (SECONDS + 60 + 30) * 1000 + 1,
        identitySetAt: 17,
      },
      endsAt: (SECONDS + 60) * 1000,
    });
  });

  test.each([
    ['EdDSA', 'ed'],
    ['Ed25519', 'ed'],
    ['ES256', 'P-256'],
    ['ES384', 'P-384'],
    ['ES512', 'P-521'],
    ['PS256', 'rsa'],
    ['PS384', 'rsa'],
    ['PS512', 'rsa'],
    ['RS256', 'rsa'],
    ['RS384', 'rsa'],
    ['RS512', 'rsa'],
  ] as const)('is taken with %s, by a key of that kind', async (alg, kid) => {
    const jwt = await sign({ header: { alg, kid }, key: KEYS[kid].privateKey });
    await expect(verify(jwt)).resolves.toMatchObject({ assertion: { kid } });
  });

  test.each([
    ['EdDSA', 'ed'],
    ['ES256', 'P-256'],
    ['RS256', 'rsa'],
  ] as const)('with %s is by the key of its kid that this fits', async (alg, key) => {
    const jwt = await sign({ header: { alg, kid: 'shared' }, key: KEYS[key].privateKey });
    await expect(verify(jwt)).resolves.toMatchObject({ assertion: { kid: 'shared' } });
  });

  test.each([
    ['typ JWT', { header: { typ: 'JWT' } }],
    ['typ authorization-grant+jwt', { header: { typ: 'authorization-grant+jwt' } }],
    ['our issuer as the only one of a list', { claims: { aud: [ISSUER] } }],
    ['nbf now', { claims: { nbf: SECONDS } }],
    ['an hour to live', { claims: { exp: SECONDS + 3600 } }],
    [
      'the algorithm that its key is for',
      {
        header: { alg: 'PS256', kid: 'pinned' },
        key: pinned.privateKey,
      },
    ],
  ] satisfies [string, Parts][])('with %s is taken', async (_name, parts) => {
    await expect(verify(await sign(parts))).resolves.toBeDefined();
  });
});

/** Each rule, broken alone under a good signature, and the word that its sentence must have. */
const RULES: [string, Parts | (() => string), RegExp][] = [
  ['more than 8 KiB', { claims: { filler: 'x'.repeat(6_200) } }, /larger than 8192/],
  ['no JWT', () => 'one.two.three', /not a signed JWT/],
  ['alg none', () => new UnsecuredJWT({ iss: LAB }).encode(), /asymmetric/],
  ['HS256', { header: { alg: 'HS256' }, key: Buffer.alloc(32, 1) }, /asymmetric/],
  ['an algorithm of no family', () => unsigned({ alg: 'toString' }), /asymmetric/],
  ['typ of an access token', { header: { typ: 'at+jwt' } }, /"typ"/],
  ['typ of client authentication', { header: { typ: 'client-authentication+jwt' } }, /"typ"/],
  ['crit', () => unsigned({ alg: 'EdDSA', crit: ['exp'], exp: 1 }), /"crit" is not allowed/],
  ['jku', { header: { jku: 'https://x.example' } }, /"jku" is not allowed/],
  ['x5u', { header: { x5u: 'https://x.example' } }, /"x5u" is not allowed/],
  ['x5c', { header: { x5c: ['AAAA'] } }, /"x5c" is not allowed/],
  ['jwk', { header: { jwk: { kty: 'OKP' } } }, /"jwk" is not allowed/],
  ['a kid that is too long', { header: { kid: 'k'.repeat(201) } }, /"kid".*200/],
  ['no sub', { claims: { sub: undefined } }, /"sub".*string/],
  ['an empty sub', { claims: { sub: '' } }, /"sub".*empty/],
  ['a long sub', { claims: { sub: 's'.repeat(256) } }, /"sub".*255/],
  ['no aud', { claims: { aud: undefined } }, /"aud".*one string/],
  ['two audiences', { claims: { aud: [ISSUER, OTHER_LAB] } }, /"aud".*one string/],
  ['an empty list of audiences', { claims: { aud: [] } }, /"aud".*one string/],
  [
    'the token endpoint as aud',
    { claims: { aud: TOKEN_ENDPOINT } },
    /address of the token endpoint/,
  ],
  ['a list of the token endpoint', { claims: { aud: [TOKEN_ENDPOINT] } }, /of the token endpoint/],
  ['another server as aud', { claims: { aud: OTHER_LAB } }, /"aud".*another server/],
  ['our issuer with a slash', { claims: { aud: `${ISSUER}/` } }, /"aud".*another server/],
  ['no exp', { claims: { exp: undefined } }, /"exp".*whole number/],
  ['an exp with a fraction', { claims: { exp: SECONDS + 0.5 } }, /"exp".*whole number/],
  ['an exp that has passed', { claims: { exp: SECONDS - 31 } }, /has expired/],
  ['an exp too far ahead', { claims: { exp: SECONDS + 3631 } }, /"exp".*3600 seconds/],
  ['no iat', { claims: { iat: undefined } }, /"iat".*whole number/],
  ['an iat in the future', { claims: { iat: SECONDS + 31 } }, /"iat".*future/],
  ['an nbf that is a text', { claims: { nbf: 'now' as never } }, /"nbf".*whole number/],
  ['an nbf in the future', { claims: { nbf: SECONDS + 31 } }, /"nbf".*future/],
  ['no jti', { claims: { jti: undefined } }, /"jti".*string/],
  ['a short jti', { claims: { jti: 'seven77' } }, /"jti".*8/],
  ['a long jti', { claims: { jti: 'j'.repeat(201) } }, /"jti".*200/],
];

describe("a lab's assertion is refused in words that say what is wrong, for", () => {
  test.each(RULES)('%s', async (_name, parts, word) => {
    const jwt = typeof parts === 'function' ? parts() : await sign(parts);
    const { code, message } = await refusalOf(jwt);
    expect(code).toBe('invalid_assertion');
    expect(message).toMatch(word);
    expect(message).not.toBe(DENIALS.invalid_assertion.text);
  });

  test('a rule that is broken shows only to who can sign', async () => {
    const jwt = await sign({ claims: { aud: TOKEN_ENDPOINT }, key: stranger.privateKey });
    expect((await refusalOf(jwt)).message).toBe(DENIALS.invalid_assertion.text);
  });
});

/** Whether the lab, the key or the signature is not known is not told, in words or work. */
const UNPROVEN: [string, Parts][] = [
  ['an unknown issuer', { claims: { iss: 'https://nobody.example' } }],
  ['no issuer', { claims: { iss: undefined } }],
  ['an issuer that is a list', { claims: { iss: [LAB] as never } }],
  ['an unknown kid', { header: { kid: 'unknown' } }],
  ['a key that nobody published', { key: stranger.privateKey }],
  ["another lab's key", { key: other.privateKey }],
  ['the issuer of another lab', { claims: { iss: OTHER_LAB } }],
  ["the lab's key of another kind", { header: { alg: 'ES256' }, key: KEYS['P-256'].privateKey }],
  [
    'a curve that is not of the algorithm',
    {
      header: { alg: 'ES256', kid: 'P-384' },
      key: KEYS['P-256'].privateKey,
    },
  ],
  ['one of two keys that nothing tells apart', { header: { kid: 'twins' } }],
  ['the other of them', { header: { kid: 'twins' }, key: twin.privateKey }],
  [
    'a key of its kid that it does not fit',
    { header: { alg: 'RS384', kid: 'P-256' }, key: KEYS.rsa.privateKey },
  ],
  ['RSA with the kid of an Ed25519 key', { header: { alg: 'RS256' }, key: KEYS.rsa.privateKey }],
  [
    'an algorithm that its key is not for',
    {
      header: { alg: 'RS256', kid: 'pinned' },
      key: pinned.privateKey,
    },
  ],
];

describe('without a good signature of a registered lab, one sentence and one check for', () => {
  test.each(UNPROVEN)('%s', async (_name, parts) => {
    const jwt = await sign(parts);
    const spy = vi.spyOn(crypto.subtle, 'verify');
    expect(await refusalOf(jwt)).toEqual({
      code: 'invalid_assertion',
      message: DENIALS.invalid_assertion.text,
    });
    expect(spy).toHaveBeenCalledTimes(1);
  });
});

test("that the lab's keys are not known is said as it is", async () => {
  const verified = verifyLabAssertion(await sign(), {
    issuer: ISSUER,
    tokenEndpoint: TOKEN_ENDPOINT,
    now: NOW,
    findLab: (issuer) => LABS[issuer],
    findKeys: () => Promise.reject(refuseLater()),
  });
  await expect(verified).rejects.toMatchObject({ refusal: { code: 'lab_keys_unavailable' } });
});

describe('to the millisecond', () => {
  test('an expiry is taken 30 s late, and no later; its jti is remembered past that', async () => {
    const jwt = await sign();
    const last = (SECONDS + 60 + 30) * 1000;
    expect((await verify(jwt, last)).assertion.expiresAt).toBeGreaterThan(last);
    expect((await refusalOf(jwt, last + 1)).message).toMatch(/has expired/);
  });

  test.each(['iat', 'nbf'])('%s is taken 30 s early, and no earlier', async (claim) => {
    const jwt = await sign({ claims: { [claim]: SECONDS + 30 } });
    await expect(verify(jwt, NOW)).resolves.toBeDefined();
    expect((await refusalOf(jwt, NOW - 1)).message).toMatch(/future/);
  });

  test('an expiry is taken an hour and 30 s ahead, and no further', async () => {
    const jwt = await sign({ claims: { exp: SECONDS + 3630 } });
    await expect(verify(jwt, NOW)).resolves.toBeDefined();
    expect((await refusalOf(jwt, NOW - 1)).message).toMatch(/3600 seconds/);
  });
});

function refuseLater(): unknown {
  try {
    return refuse('lab_keys_unavailable');
  } catch (error) {
    return error;
  }
}

/** A header that no library would sign. */
function unsigned(header: object): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  return `${part(header)}.${part({ iss: LAB })}.AAAA`;
}
