/** Keys of signed notes over Node's own crypto: verifier keys as text, Ed25519 signers and verifiers. */
import { createPublicKey, hash, sign, verify, type KeyObject } from 'node:crypto';
import * as neutral from '../tlog/keys.ts';
import type { Primitives } from '../tlog/primitives.ts';
import type { NoteSigner, NoteVerifier } from './note.ts';

const { ED25519, PUBLIC_KEY_BYTES, isKeyName } = neutral;

export { ED25519, isKeyName };

/** Node's own hashing and signatures. */
export const NODE_PRIMITIVES: Primitives = {
  sha256: (bytes) => hash('sha256', bytes, 'buffer'),
  verifyEd25519: (publicKey, message, signature) => {
    const x = Buffer.from(publicKey).toString('base64url');
    const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
    return verify(null, message, key, signature);
  },
};

/** Key id: the first four bytes of SHA-256(name ‖ 0x0A ‖ type ‖ public key), as a big-endian number. */
export const keyIdOf = (name: string, type: number, publicKey: Uint8Array): number =>
  neutral.keyIdOf(NODE_PRIMITIVES.sha256, name, type, publicKey);

/**
 * Writes an Ed25519 verifier key: `name+hex8(key id)+base64(type ‖ public key)`.
 *
 * @param publicKey the raw 32 bytes
 * @param type of its signatures; that of a log, unless another is named
 * @throws RangeError for a name or key that cannot be one
 */
export function formatVerifierKey(name: string, publicKey: Uint8Array, type = ED25519): string {
  if (!isKeyName(name)) throw new RangeError(`“${name}” cannot be the name of a key.`);
  if (publicKey.length !== PUBLIC_KEY_BYTES) throw new RangeError('Not an Ed25519 public key.');
  const id = keyIdOf(name, type, publicKey).toString(16).padStart(8, '0');
  return `${name}+${id}+${Buffer.concat([Buffer.of(type), publicKey]).toString('base64')}`;
}

/** See `parseVerifierKey` of tlog/keys.ts. @throws RangeError */
export const parseVerifierKey = (text: string): NoteVerifier =>
  neutral.parseVerifierKey(NODE_PRIMITIVES, text);

/** See `splitVerifierKey` of tlog/keys.ts. @throws RangeError */
export const splitVerifierKey = (text: string, type: number, wrongType: string): neutral.KeyParts =>
  neutral.splitVerifierKey(NODE_PRIMITIVES.sha256, text, type, wrongType);

/** The raw 32 bytes of the public half of an Ed25519 key. Throws RangeError for keys of another kind. */
export function rawPublicKey(key: KeyObject): Buffer {
  if (key.asymmetricKeyType !== 'ed25519') throw new RangeError('Not an Ed25519 key.');
  const { x } = (key.type === 'private' ? createPublicKey(key) : key).export({ format: 'jwk' });
  return Buffer.from(x ?? '', 'base64url');
}

/** Signs notes with an Ed25519 private key under this name. Throws RangeError for another kind of key. */
export function ed25519Signer(name: string, privateKey: KeyObject): NoteSigner {
  if (!isKeyName(name)) throw new RangeError(`“${name}” cannot be the name of a key.`);
  return {
    name,
    keyId: keyIdOf(name, ED25519, rawPublicKey(privateKey)),
    sign: (text) => sign(null, text, privateKey),
  };
}
