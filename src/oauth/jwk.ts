/** Signature algorithms and the public keys that they take (RFC 7517, RFC 7518, RFC 8037). */

/** What each algorithm's key is: its type and, where that leaves a choice, its curve. */
const KEY_OF = {
  EdDSA: 'Ed25519',
  Ed25519: 'Ed25519',
  ES256: 'P-256',
  ES384: 'P-384',
  ES512: 'P-521',
  PS256: 'RSA',
  PS384: 'RSA',
  PS512: 'RSA',
  RS256: 'RSA',
  RS384: 'RSA',
  RS512: 'RSA',
} as const;

/** Asymmetric signatures: nothing that both sides would have to know a secret for. */
export type SignatureAlgorithm = keyof typeof KEY_OF;
export type KeyKind = (typeof KEY_OF)[SignatureAlgorithm];

/** What others may sign with, tokens of ours apart. */
export const SIGNATURE_ALGORITHMS = Object.keys(KEY_OF) as SignatureAlgorithm[];

/** Of what kind a key must be to check signatures of an algorithm. */
export const keyKindOf = (alg: SignatureAlgorithm): KeyKind => KEY_OF[alg];

/** RFC 7518, section 6: any of these makes a key a private or a shared one. */
const SECRET_PARTS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k'];

/** Whether a JWK has parts that nobody but its owner may know. */
export function hasSecretParts(jwk: object): boolean {
  return SECRET_PARTS.some((name) => name in jwk);
}
