/** age identities: the secret keys that open what was sealed to their recipients. */
import type { KeyObject } from 'node:crypto';
import { decodeBech32, encodeBech32 } from '../../core/transcripts/bech32.ts';
import { recipientOf } from '../../core/transcripts/recipients.ts';
import { newKeyPair, privateKeyFrom, publicOf, rawPrivateKey, rawPublicKey } from './x25519.ts';

const PREFIX = 'age-secret-key-';

/** Makes an identity. @returns AGE-SECRET-KEY-1…, and its recipient */
export function newIdentity(): { identity: string; recipient: string } {
  const { privateKey, publicKey } = newKeyPair();
  return {
    identity: encodeBech32(PREFIX, rawPrivateKey(privateKey)).toUpperCase(),
    recipient: recipientOf(rawPublicKey(publicKey)),
  };
}

/**
 * Reads a file of identities, as `age-keygen` writes it: one a line, besides comments.
 *
 * @throws with what is wrong; never with any of the secret
 */
export function readIdentities(text: string): KeyObject[] {
  const lines = text.split(/\r?\n/).map((line) => line.trim());
  const keys = lines.filter((line) => line !== '' && !line.startsWith('#')).map(readIdentity);
  if (keys.length === 0) throw new Error('It holds no identity (AGE-SECRET-KEY-1…).');
  return keys;
}

function readIdentity(line: string): KeyObject {
  const decoded = decodeBech32(line);
  if (decoded?.prefix !== PREFIX || decoded.bytes.length !== 32)
    throw new Error('It has a line that is no identity of age (AGE-SECRET-KEY-1…, X25519).');
  return privateKeyFrom(decoded.bytes);
}

/** The recipient of an identity. */
export const recipientOfIdentity = (identity: KeyObject): string =>
  recipientOf(rawPublicKey(publicOf(identity)));
