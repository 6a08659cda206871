/** Keys of signed notes: key ids, verifier keys as text (C2SP signed-note), Ed25519 signers and verifiers. */
import { createPublicKey, hash, sign, verify, type KeyObject } from 'node:crypto';
import type { NoteSigner, NoteVerifier } from './note.ts';

/** Signature type of plain Ed25519: that of a log. Those of witnesses (0x04) are in cosignature.ts. */
export const ED25519 = 0x01;

const PUBLIC_KEY_BYTES = 32;

/** Whether a name can be a key's: not empty, no whitespace or control character, no plus sign. */
export function isKeyName(name: string): boolean {
  return (
    /^[^\s\u0085+]+$/u.test(name) && !/\p{Control}/u.test(name) && !/\p{Surrogate}/u.test(name)
  );
}

/** Key id: the first four bytes of SHA-256(name ‖ 0x0A ‖ type ‖ public key), as a big-endian number. */
export function keyIdOf(name: string, type: number, publicKey: Uint8Array): number {
  const input = Buffer.concat([Buffer.from(`${name}\n`, 'utf8'), Buffer.of(type), publicKey]);
  return hash('sha256', input, 'buffer').readUInt32BE();
}

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

/** A verifier key taken apart: its name and id belong together. */
export interface KeyParts {
  name: string;
  keyId: number;
  /** Of its signatures. */
  type: number;
  /** The raw 32 bytes. */
  raw: Buffer;
  publicKey: KeyObject;
}

/**
 * Reads a verifier key as text.
 *
 * @throws RangeError with a sentence that says what is wrong with it
 */
export function parseVerifierKey(text: string): NoteVerifier {
  const { name, keyId, publicKey } = splitVerifierKey(text, ED25519, WRONG_TYPE);
  return {
    name,
    keyId,
    verifierKey: text,
    verify: (message, signature) =>
      signature.length === 64 && verify(null, message, publicKey, signature),
  };
}

const WRONG_TYPE = 'The verifier key is not an Ed25519 key (type 1), the only type known here.';

/**
 * Takes an Ed25519 verifier key apart.
 *
 * @param type that its signatures must have
 * @param wrongType what is said of one of another type
 * @throws RangeError
 */
export function splitVerifierKey(text: string, type: number, wrongType: string): KeyParts {
  // The first two plus signs separate; base64 may hold more of them.
  const [, name, id, encoded] = /^([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)$/.exec(text) ?? [];
  if (name === undefined || id === undefined || encoded === undefined || !isKeyName(name)) {
    throw new RangeError('Not a verifier key: it has the form name+hex+base64.');
  }
  const bytes = Buffer.from(encoded, 'base64');
  if (bytes.toString('base64') !== encoded) {
    throw new RangeError('Not a verifier key: its last part is not in base64.');
  }
  if (bytes[0] !== type || bytes.length !== 1 + PUBLIC_KEY_BYTES) throw new RangeError(wrongType);
  const raw = bytes.subarray(1);
  const keyId = keyIdOf(name, type, raw);
  if (keyId !== Number.parseInt(id, 16)) {
    throw new RangeError(
      'The verifier key is damaged: its key id does not belong to its name and key.',
    );
  }
  const publicKey = createPublicKey({
    key: { kty: 'OKP', crv: 'Ed25519', x: raw.toString('base64url') },
    format: 'jwk',
  });
  return { name, keyId, type, raw, publicKey };
}

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
