/** What is not one of our access tokens, however close it comes. */
import {
  createHmac,
  createPublicKey,
  generateKeyPairSync,
  sign,
  type KeyObject,
} from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RefusedError } from '../../src/core/denials.ts';
import { signAccessToken, verifyAccessToken } from '../../src/oauth/access-token.ts';
import { KeyRing } from '../../src/oauth/key-ring.ts';
import type { SigningKey } from '../../src/oauth/signing-key.ts';

const NOW = 1_750_000_000_000;
const ISSUER = 'https://broker.example';
const AUDIENCE = `${ISSUER}/v1`;

let folder: string;
let ring: KeyRing;
let next: SigningKey;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sallyport-keys-'));
  ring = new KeyRing(folder);
  const times = {
    createdAt: NOW,
    activatesAt: null,
    activatedAt: null,
    replacedAt: null,
    retiredAt: null,
  };
  const waiting = ring.make();
  ring.apply({ ...waiting, ...times, state: 'active' });
  next = ring.active;
  ring.apply({ ...waiting, ...times, state: 'next' });
  ring.apply({ ...ring.make(), ...times, state: 'active' });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const CLAIMS = {
  iss: ISSUER,
  sub: 'per_1',
  client_id: 'per_1',
  aud: AUDIENCE,
  jti: 'tok_1',
  iat: NOW / 1000,
  exp: NOW / 1000 + 60,
};

const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');

/** A JWS by any key, with any header. */
function jws(header: object, claims: object, key: KeyObject, hash: string | null = null): string {
  const input = `${part(header)}.${part(claims)}`;
  return `${input}.${sign(hash, Buffer.from(input), key).toString('base64url')}`;
}

const ours = (): { alg: string; typ: string; kid: string } => ({
  alg: 'EdDSA',
  typ: 'at+jwt',
  kid: ring.active.kid,
});

const check = (token: string, now = NOW): ReturnType<typeof verifyAccessToken> =>
  verifyAccessToken(ring, { issuer: ISSUER, audience: AUDIENCE }, token, now);

const codeOf = async (token: string, now?: number): Promise<string> => {
  try {
    await check(token, now);
    return 'accepted';
  } catch (error) {
    if (error instanceof RefusedError) return error.refusal.code;
    throw error;
  }
};

describe('an access token', () => {
  it('that we signed is accepted, to the millisecond of its end', async () => {
    const token = await signAccessToken(ring.active, ISSUER, {
      id: 'tok_1',
      personId: 'per_1',
      audience: AUDIENCE,
      issuedAt: NOW,
      expiresAt: NOW + 60_000,
      jkt: null,
    });
    expect(await check(token)).toMatchObject({ id: 'tok_1', signingKid: ring.active.kid });
    expect(await codeOf(token, NOW + 59_999)).toBe('accepted');
    expect(await codeOf(token, NOW + 60_000)).toBe('token_expired');
  });

  it('made by hand in the same way is accepted, so that what follows tests what it says', async () => {
    expect(await codeOf(jws(ours(), CLAIMS, ring.active.privateKey))).toBe('accepted');
  });

  const stranger = generateKeyPairSync('ed25519').privateKey;
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
  const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
  const byUs = (header: object, claims: object = CLAIMS) =>
    jws({ ...ours(), ...header }, claims, ring.active.privateKey);

  it.each<[string, () => string]>([
    [
      'by a key that waits for its turn',
      () => jws({ ...ours(), kid: next.kid }, CLAIMS, next.privateKey),
    ],
    ['by an unknown key', () => jws({ ...ours(), kid: 'x'.repeat(43) }, CLAIMS, stranger)],
    ['by another key under our kid', () => jws(ours(), CLAIMS, stranger)],
    ['without kid', () => byUs({ kid: undefined })],
    ['with a kid that is no string', () => byUs({ kid: 7 })],
    ['with alg none', () => `${part({ ...ours(), alg: 'none' })}.${part(CLAIMS)}.`],
    [
      'with HS256 and the public key as the secret',
      () => {
        const secret = createPublicKey(ring.active.privateKey).export({
          type: 'spki',
          format: 'pem',
        });
        const input = `${part({ ...ours(), alg: 'HS256' })}.${part(CLAIMS)}`;
        return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`;
      },
    ],
    ['with RS256', () => jws({ ...ours(), alg: 'RS256' }, CLAIMS, rsa, 'sha256')],
    ['with ES256', () => jws({ ...ours(), alg: 'ES256' }, CLAIMS, ec, 'sha256')],
    ['with another name of the algorithm', () => byUs({ alg: 'Ed25519' })],
    ['of another type', () => byUs({ typ: 'JWT' })],
    ['that is an assertion for another broker', () => byUs({ typ: 'authorization-grant+jwt' })],
    ['without type', () => byUs({ typ: undefined })],
    ['with crit', () => byUs({ crit: ['b64'], b64: true })],
    ['with jku', () => byUs({ jku: 'https://evil.example/jwks' })],
    ['with x5u', () => byUs({ x5u: 'https://evil.example/cert' })],
    ['with x5c', () => byUs({ x5c: ['AAAA'] })],
    ['with its own key', () => byUs({ jwk: ring.active.jwk })],
    ['of another issuer', () => byUs({}, { ...CLAIMS, iss: 'https://other.example' })],
    ['for another audience', () => byUs({}, { ...CLAIMS, aud: `${ISSUER}/api/v1` })],
    ['for several audiences', () => byUs({}, { ...CLAIMS, aud: [AUDIENCE, 'x'] })],
    ['of one person for another', () => byUs({}, { ...CLAIMS, client_id: 'per_2' })],
    ['without end', () => byUs({}, { ...CLAIMS, exp: undefined })],
    ['without id', () => byUs({}, { ...CLAIMS, jti: undefined })],
    ['that is larger than 8 KiB', () => byUs({}, { ...CLAIMS, padding: 'x'.repeat(8_192) })],
    ['that is no JWT', () => 'nonsense'],
    [
      'whose claims were changed',
      () => {
        const [header, , signature] = byUs({}).split('.');
        return `${header}.${part({ ...CLAIMS, sub: 'per_2', client_id: 'per_2' })}.${signature}`;
      },
    ],
  ])('%s is refused', async (_what, token) => {
    expect(await codeOf(token())).toBe('invalid_token');
  });
});
