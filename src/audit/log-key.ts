/** The log's signing key. It is read once, at start; the private key never leaves here. */
import type { KeyObject } from 'node:crypto';
import { formatCheckpoint } from '../core/audit/checkpoint.ts';
import {
  ed25519Signer,
  formatVerifierKey,
  isKeyName,
  rawPublicKey,
} from '../core/audit/note-keys.ts';
import { signNote } from '../core/audit/note.ts';
import { KeyFileError, createKeyFile, loadKeyFile } from '../lib/key-file.ts';

/** What the broker can do with the log's key. */
export interface LogKey {
  /** The log's name, which is also the key's. */
  origin: string;
  /** The public half as text (C2SP verifier key): what auditors are given, by another way than the log itself. */
  verifierKey: string;
  /**
   * Signs a checkpoint over the first `size` entries.
   *
   * @param root 32 bytes
   * @returns the signed note
   */
  signCheckpoint: (size: number, root: Uint8Array) => string;
}

/**
 * Makes a new log key in a new file (see {@link createKeyFile}).
 *
 * @param origin the log's name, for instance `audit.lab.example/sallyport`
 * @throws KeyFileError
 */
export function createLogKey(path: string, origin: string): LogKey {
  assertOrigin(origin);
  return logKey(origin, createKeyFile(path));
}

/**
 * Loads the log's key.
 *
 * @param path file made by {@link createLogKey}
 * @param origin the log's name, as when the key was made
 * @throws KeyFileError when the file is missing, open to others than its owner, or not an Ed25519 key
 */
export function loadLogKey(path: string, origin: string): LogKey {
  assertOrigin(origin);
  return logKey(origin, loadKeyFile(path));
}

function logKey(origin: string, privateKey: KeyObject): LogKey {
  const signer = ed25519Signer(origin, privateKey);
  return {
    origin,
    verifierKey: formatVerifierKey(origin, rawPublicKey(privateKey)),
    signCheckpoint: (size, root) => signNote(formatCheckpoint({ origin, size, root }), [signer]),
  };
}

function assertOrigin(origin: string): void {
  if (!isKeyName(origin)) {
    throw new KeyFileError(
      `"${origin}" cannot be a log's name: use a host name and path without spaces or plus signs.`,
    );
  }
}
