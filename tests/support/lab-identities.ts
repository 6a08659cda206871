/** Labs that sign for their own people, in a test. */
import { generateKeyPairSync, randomUUID, type KeyObject } from 'node:crypto';
import { SignJWT, type JWTHeaderParameters, type JWTPayload } from 'jose';
import type { IdentityInput } from '../../src/core/lab-identity.ts';
import type { LabKey } from '../../src/core/people.ts';
import { JWT_BEARER } from '../../src/oauth/lab-assertion.ts';
import type { ModelAccess } from '../../src/oauth/token-request.ts';
import type { TestBroker } from './test-broker.ts';

export interface TestIdentity {
  issuer: string;
  privateKey: KeyObject;
  jwk: LabKey & { kid: string };
  /** With its one key inline. */
  input: IdentityInput;
}

/** An identity with one Ed25519 key. */
export function makeIdentity(issuer: string, kid = 'key-1'): TestIdentity {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const jwk = { ...(publicKey.export({ format: 'jwk' }) as LabKey), kid };
  return { issuer, privateKey, jwk, input: { issuer, jwks: { keys: [jwk] } } };
}

/**
 * Signs a lab's assertion that is right in every part, but for what is given.
 *
 * @param claims what stands in place of the right claims; undefined leaves one out
 */
export function signLabAssertion(
  { broker }: TestBroker,
  { issuer, privateKey, jwk }: TestIdentity,
  subject: string,
  claims: JWTPayload = {},
  header: Partial<JWTHeaderParameters> = {},
): Promise<string> {
  const now = Math.floor(broker.clock() / 1000);
  const right = { iss: issuer, sub: subject, aud: broker.issuer, jti: randomUUID(), iat: now };
  return new SignJWT({ ...right, exp: now + 300, ...claims })
    .setProtectedHeader({ alg: 'EdDSA', kid: jwk.kid, ...header })
    .sign(privateKey);
}

export interface TokenAnswer {
  status: number;
  body: { access_token?: string; expires_in?: number; error?: string; code?: string };
}

/** Asks for a token with a lab's assertion; over HTTP as clients do. */
export async function exchange(
  { url }: TestBroker,
  assertion: string,
  access?: Omit<ModelAccess, 'type'>,
): Promise<TokenAnswer> {
  const details = JSON.stringify([{ type: 'model_access', ...access }]);
  const answer = await fetch(`${url}/oauth/token`, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: JWT_BEARER,
      assertion,
      ...(access ? { authorization_details: details } : {}),
    }),
  });
  return { status: answer.status, body: (await answer.json()) as TokenAnswer['body'] };
}

/** The same, where it is to succeed. */
export async function tokenFor(...parts: Parameters<typeof exchange>): Promise<string> {
  const { body } = await exchange(...parts);
  if (body.access_token === undefined) throw new Error(`No token: ${JSON.stringify(body)}`);
  return body.access_token;
}
