/** Cosignatures of witnesses: C2SP tlog-cosignature, timestamped Ed25519 (type 0x04). */
import { sign, type KeyObject } from 'node:crypto';
import {
  NODE_PRIMITIVES,
  formatVerifierKey,
  isKeyName,
  keyIdOf,
  rawPublicKey,
  splitVerifierKey,
} from './note-keys.ts';
import { toBase64 } from '../tlog/bytes.ts';
import type { NoteSignature, NoteVerifier } from './note.ts';

/** Signature type of a timestamped cosignature. */
const COSIGNATURE = 0x04;

const TIME_BYTES = 8;
const SIGNATURE_BYTES = 64;

const WRONG_TYPE =
  "The verifier key is not a witness's: that is of type 4, timestamped Ed25519 (C2SP tlog-cosignature). A log's own key, type 1, cannot stand in its place.";

/**
 * Reads a witness's verifier key. Its `verify` takes the signed text of the checkpoint and the cosignature as it
 * stands in the note, time included.
 *
 * @throws RangeError with a sentence that says what is wrong with it
 */
export function parseWitnessKey(text: string): NoteVerifier {
  const { name, keyId, raw } = splitVerifierKey(text, COSIGNATURE, WRONG_TYPE);
  return {
    name,
    keyId,
    verifierKey: text,
    verify: (body, signature) => {
      const seconds = secondsOf(signature);
      if (seconds === undefined) return false;
      return NODE_PRIMITIVES.verifyEd25519(
        raw,
        cosigned(body, seconds),
        signature.subarray(TIME_BYTES),
      );
    },
  };
}

/** The raw public key of a witness: two verifier keys with the same one are one witness under two names. */
export function rawWitnessKey(text: string): string {
  return toBase64(splitVerifierKey(text, COSIGNATURE, WRONG_TYPE).raw);
}

/** The verifier key of a witness, as text. Throws RangeError for a name or key that cannot be one. */
export function formatWitnessKey(name: string, key: KeyObject): string {
  return formatVerifierKey(name, rawPublicKey(key), COSIGNATURE);
}

/**
 * Cosigns a checkpoint: says that at this time it is the largest of its log that the witness knows, and continues all
 * that it knew before.
 *
 * @param body the signed text of the checkpoint
 * @param seconds since 1970
 */
export function cosign(
  name: string,
  privateKey: KeyObject,
  body: string,
  seconds: number,
): NoteSignature {
  if (!isKeyName(name)) throw new RangeError(`“${name}” cannot be the name of a key.`);
  const time = Buffer.alloc(TIME_BYTES);
  time.writeBigUInt64BE(BigInt(seconds));
  const signature = sign(null, cosigned(Buffer.from(body, 'utf8'), seconds), privateKey);
  return {
    name,
    keyId: keyIdOf(name, COSIGNATURE, rawPublicKey(privateKey)),
    signature: Buffer.concat([time, signature]),
  };
}

/** When a cosignature says that it was made, seconds since 1970; undefined for what has not its form. */
export function secondsOf(signature: Uint8Array): number | undefined {
  if (signature.length !== TIME_BYTES + SIGNATURE_BYTES) return undefined;
  const time = Buffer.from(signature).readBigUInt64BE();
  return time <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(time) : undefined;
}

function cosigned(body: Uint8Array, seconds: number): Buffer {
  return Buffer.concat([Buffer.from(`cosignature/v1\ntime ${seconds}\n`, 'utf8'), body]);
}
