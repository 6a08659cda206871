/** DPoP proofs for tests, made by hand: a library would refuse to make the bad ones. */
import { generateKeyPairSync, sign } from 'node:crypto';
import type { ProvenRequest } from '../../src/oauth/dpop-proof.ts';

/** Epoch milliseconds, on a whole second. */
export const NOW = 1_790_000_000_000;
export const TOKEN = 'header.payload.signature';
/** base64url(SHA-256(TOKEN)), by `printf … | openssl dgst -sha256 -binary | basenc --base64url`. */
export const TOKEN_HASH = 'JW0E205eSsMIdR7QiFtyK3WGMFZ8U6cSXtn70Gjlw_Y';

const { privateKey, publicKey } = generateKeyPairSync('ed25519');
export const jwk = publicKey.export({ format: 'jwk' });
export const privateJwk = privateKey.export({ format: 'jwk' });

export const request: ProvenRequest = {
  method: 'POST',
  url: 'https://broker.example/v1/messages',
  now: NOW,
};

type Members = Record<string, unknown>;

const goodHeader: Members = { typ: 'dpop+jwt', alg: 'EdDSA', jwk };
const goodClaims: Members = {
  jti: 'jti-0123456789',
  htm: 'POST',
  htu: 'https://broker.example/v1/messages',
  iat: NOW / 1000,
};

export interface ProofParts {
  /** Over those of a good proof; `undefined` leaves a member out. */
  header?: Members;
  claims?: Members;
  /** Instead of JSON made of them. */
  headerText?: string | Buffer;
  payloadText?: string | Buffer;
  /** Signs in place of Ed25519 with the good key. */
  signer?: (input: Buffer) => Buffer;
}

/** A good proof of {@link request}, but for what is given. */
export function makeProof(parts: ProofParts = {}): string {
  const header = parts.headerText ?? JSON.stringify({ ...goodHeader, ...parts.header });
  const payload = parts.payloadText ?? JSON.stringify({ ...goodClaims, ...parts.claims });
  const input = [header, payload].map((part) => Buffer.from(part).toString('base64url')).join('.');
  const signer = parts.signer ?? ((bytes) => sign(null, bytes, privateKey));
  return `${input}.${signer(Buffer.from(input)).toString('base64url')}`;
}
