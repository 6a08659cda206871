/** Keys of signed notes: key ids, and verifier keys as text (C2SP signed-note). */
import type { NoteVerifier } from '../audit/note.ts';
import { concatBytes, fromBase64, toUtf8 } from './bytes.ts';
import type { Primitives } from './primitives.ts';

/** Signature type of plain Ed25519: that of a log. Those of witnesses (0x04) are in audit/cosignature.ts. */
export const ED25519 = 0x01;

export const PUBLIC_KEY_BYTES = 32;

const SIGNATURE_BYTES = 64;

/** Whether a name can be a key's: not empty, no whitespace or control character, no plus sign. */
export function isKeyName(name: string): boolean {
  return (
    /^[^\s\u0085+]+$/u.test(name) && !/\p{Control}/u.test(name) && !/\p{Surrogate}/u.test(name)
  );
}

/** Key id: the first four bytes of SHA-256(name ‖ 0x0A ‖ type ‖ public key), as a big-endian number. */
export function keyIdOf(
  sha256: Primitives['sha256'],
  name: string,
  type: number,
  publicKey: Uint8Array,
): number {
  const { buffer, byteOffset } = sha256(
    concatBytes([toUtf8(`${name}\n`), Uint8Array.of(type), publicKey]),
  );
  return new DataView(buffer, byteOffset).getUint32(0);
}

/** A verifier key taken apart: its name and id belong together. */
export interface KeyParts {
  name: string;
  keyId: number;
  /** The raw 32 bytes. */
  raw: Uint8Array;
}

/**
 * Takes an Ed25519 verifier key apart.
 *
 * @param type that its signatures must have
 * @param wrongType what is said of one of another type
 * @throws RangeError with a sentence that says what is wrong with it
 */
export function splitVerifierKey(
  sha256: Primitives['sha256'],
  text: string,
  type: number,
  wrongType: string,
): KeyParts {
  // The first two plus signs separate; base64 may hold more of them.
  const [, name, id, encoded] = /^([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)$/.exec(text) ?? [];
  if (name === undefined || id === undefined || encoded === undefined || !isKeyName(name)) {
    throw new RangeError('Not a verifier key: it has the form name+hex+base64.');
  }
  const bytes = fromBase64(encoded);
  if (bytes === undefined) {
    throw new RangeError('Not a verifier key: its last part is not in base64.');
  }
  if (bytes[0] !== type || bytes.length !== 1 + PUBLIC_KEY_BYTES) throw new RangeError(wrongType);
  const raw = bytes.subarray(1);
  const keyId = keyIdOf(sha256, name, type, raw);
  if (keyId !== Number.parseInt(id, 16)) {
    throw new RangeError(
      'The verifier key is damaged: its key id does not belong to its name and key.',
    );
  }
  return { name, keyId, raw };
}

const WRONG_TYPE = 'The verifier key is not an Ed25519 key (type 1), the only type known here.';

/**
 * Reads a log's verifier key as text.
 *
 * @throws RangeError with a sentence that says what is wrong with it
 */
export function parseVerifierKey(
  { sha256, verifyEd25519 }: Primitives,
  text: string,
): NoteVerifier {
  const { name, keyId, raw } = splitVerifierKey(sha256, text, ED25519, WRONG_TYPE);
  return {
    name,
    keyId,
    verifierKey: text,
    verify: (message, signature) =>
      signature.length === SIGNATURE_BYTES && verifyEd25519(raw, message, signature),
  };
}
