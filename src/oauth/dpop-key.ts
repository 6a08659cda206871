/** The header of a DPoP proof (RFC 9449, section 4.2), and the public key in it that the proof is of. */
import { calculateJwkThumbprint, importJWK, type CryptoKey } from 'jose';
import { z } from 'zod';
import { octetsOf } from '../core/base64url.ts';
import { parseProofPart, refuseProof } from './dpop-part.ts';
import {
  SIGNATURE_ALGORITHMS,
  hasSecretParts,
  keyKindOf,
  type KeyKind,
  type SignatureAlgorithm,
} from './jwk.ts';

const UNFIT = 'The "jwk" of the DPoP proof is not a key for its "alg".';
const MALFORMED = 'The "jwk" of the DPoP proof is not a well-formed public key.';
const WRONG_SIZE =
  'An RSA key of a DPoP proof has 2048 to 8192 bits, and a public exponent of at most 32.';

/** Octets in their one form: of one key there is but one thumbprint. */
const octets = (error: string, fits: (bytes: Buffer) => boolean) =>
  z.string(MALFORMED).superRefine((text, context) => {
    const bytes = octetsOf(text);
    if (!bytes) context.addIssue(MALFORMED);
    else if (!fits(bytes)) context.addIssue(error);
  });
const coordinate = (size: number) => octets(MALFORMED, ({ length }) => length === size);

const bitsOf = (bytes: Buffer): number => bytes.length * 8 - (Math.clz32(bytes[0] ?? 0) - 24);

const ec = (curve: string, size: number) =>
  z.object({
    kty: z.literal('EC', UNFIT),
    crv: z.literal(curve, UNFIT),
    x: coordinate(size),
    y: coordinate(size),
  });

/** Of the members of a JWK those that are the key (RFC 7638, section 3.2). */
const KEYS = {
  Ed25519: z.object({
    kty: z.literal('OKP', UNFIT),
    crv: z.literal('Ed25519', UNFIT),
    x: coordinate(32),
  }),
  'P-256': ec('P-256', 32),
  'P-384': ec('P-384', 48),
  'P-521': ec('P-521', 66),
  // No leading zeros (RFC 7518, section 2). Bounded above, too: what a check costs is chosen by whoever sends the key.
  RSA: z.object({
    kty: z.literal('RSA', UNFIT),
    n: octets(WRONG_SIZE, (n) => n[0] !== 0 && bitsOf(n) >= 2048 && bitsOf(n) <= 8192),
    e: octets(WRONG_SIZE, (e) => e.length > 0 && e[0] !== 0 && bitsOf(e) <= 32),
  }),
} as const satisfies Record<KeyKind, z.ZodType>;

const absent = (name: string) =>
  z.undefined(`The header of a DPoP proof may not have "${name}".`).optional();

const headerSchema = z.object(
  {
    typ: z.literal('dpop+jwt', 'The "typ" of a DPoP proof is "dpop+jwt".'),
    alg: z.enum(
      SIGNATURE_ALGORITHMS,
      `The "alg" of a DPoP proof is one of ${SIGNATURE_ALGORITHMS.join(', ')}.`,
    ),
    crit: absent('crit'),
    jku: absent('jku'),
    x5u: absent('x5u'),
    x5c: absent('x5c'),
    jwk: z.record(
      z.string(),
      z.unknown(),
      'The header of a DPoP proof has the public key as "jwk".',
    ),
  },
  'The header of a DPoP proof is a JSON object.',
);

/** The key of a proof, ready to check its signature. */
export interface ProofKey {
  alg: SignatureAlgorithm;
  publicKey: CryptoKey;
  /** RFC 7638 thumbprint, SHA-256, base64url. */
  jkt: string;
}

/** A client sends the same header with each of its proofs; reading it costs as much as the signature. */
const MOST_CACHED = 1000;
const cached = new Map<string, ProofKey>();

/**
 * Reads the header of a proof. That the sender holds the key, only the signature tells.
 *
 * @param header the first part of the proof, still encoded
 * @throws RefusedError `invalid_dpop_proof`
 */
export async function proofKeyOf(header: string): Promise<ProofKey> {
  const known = cached.get(header);
  if (known) {
    // Last in the order of the map again: the first is the one to go.
    cached.delete(header);
    cached.set(header, known);
    return known;
  }
  const key = await readKey(header);
  if (cached.size >= MOST_CACHED) {
    const oldest = cached.keys().next();
    if (!oldest.done) cached.delete(oldest.value);
  }
  cached.set(header, key);
  return key;
}

async function readKey(header: string): Promise<ProofKey> {
  const { alg, jwk } = parseProofPart(header, headerSchema);
  if (hasSecretParts(jwk))
    return refuseProof('The "jwk" of the DPoP proof has private parts. Send the public key alone.');
  const parsed = KEYS[keyKindOf(alg)].safeParse(jwk);
  if (!parsed.success) return refuseProof(parsed.error.issues[0]?.message ?? MALFORMED);
  try {
    const publicKey = await importJWK(parsed.data, alg);
    return { alg, publicKey, jkt: await calculateJwkThumbprint(parsed.data, 'sha256') };
  } catch (error) {
    // What Web Cryptography says of a point that is not on its curve.
    if (error instanceof DOMException && error.name === 'DataError') return refuseProof(MALFORMED);
    throw error;
  }
}
