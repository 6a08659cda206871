/** The file that holds the log's signing key. It is read once, at start; the private key never leaves here. */
import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  openSync,
  readFileSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { formatCheckpoint } from '../core/audit/checkpoint.ts';
import {
  ed25519Signer,
  formatVerifierKey,
  isKeyName,
  rawPublicKey,
} from '../core/audit/note-keys.ts';
import { signNote } from '../core/audit/note.ts';

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

/** Thrown when the key file cannot be made or used. The message says what to do. */
export class LogKeyError extends Error {
  override readonly name = 'LogKeyError';
}

/** Anybody but the owner. */
const OTHERS = 0o077;

/**
 * Makes a new Ed25519 key in a new file: PKCS #8 PEM, readable by its owner only, on disk when this returns.
 *
 * @param path file that must not exist yet: a key that signed checkpoints is never overwritten
 * @param origin the log's name, for instance `audit.lab.example/sallyport`
 * @throws LogKeyError
 */
export function createLogKey(path: string, origin: string): LogKey {
  assertOrigin(origin);
  const { privateKey } = generateKeyPairSync('ed25519');
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL;
  const file = orExplain(`make the log key ${path}`, () => openSync(path, flags, 0o600));
  try {
    writeSync(file, pem);
    fsyncSync(file);
  } catch (error) {
    // Half a key would stand in the way of the next attempt.
    rmSync(path);
    throw error;
  } finally {
    closeSync(file);
  }
  // The name as well: after a crash, checkpoints signed with a key that is gone could never be extended.
  const folder = openSync(dirname(path), constants.O_RDONLY);
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
  return logKey(origin, privateKey);
}

/**
 * Loads the log's key.
 *
 * @param path file made by {@link createLogKey}
 * @param origin the log's name, as when the key was made
 * @throws LogKeyError when the file is missing, open to others than its owner, or not an Ed25519 key
 */
export function loadLogKey(path: string, origin: string): LogKey {
  assertOrigin(origin);
  const file = orExplain(`open the log key ${path}`, () => openSync(path, constants.O_RDONLY));
  try {
    // Of the opened file, not of its path: what is checked is what is read.
    const status = fstatSync(file);
    if (!status.isFile()) throw new LogKeyError(`The log key ${path} is not a plain file.`);
    if ((status.mode & OTHERS) !== 0) {
      const mode = (status.mode & 0o777).toString(8).padStart(3, '0');
      throw new LogKeyError(
        `The log key ${path} is open to others than its owner (mode ${mode}). Run “chmod 600 ${path}”, and if others may have read it, replace the key.`,
      );
    }
    return logKey(origin, parsePrivateKey(path, readFileSync(file)));
  } finally {
    closeSync(file);
  }
}

function logKey(origin: string, privateKey: KeyObject): LogKey {
  const signer = ed25519Signer(origin, privateKey);
  return {
    origin,
    verifierKey: formatVerifierKey(origin, rawPublicKey(privateKey)),
    signCheckpoint: (size, root) => signNote(formatCheckpoint({ origin, size, root }), [signer]),
  };
}

function parsePrivateKey(path: string, pem: Buffer): KeyObject {
  let key: KeyObject;
  try {
    key = createPrivateKey({ key: pem, format: 'pem' });
  } catch {
    // Without the cause: what OpenSSL says may quote the file.
    throw new LogKeyError(
      `The log key ${path} is not a private key in PEM. Restore it from a backup.`,
    );
  }
  if (key.asymmetricKeyType !== 'ed25519') {
    throw new LogKeyError(`The log key ${path} is not an Ed25519 key. Restore it from a backup.`);
  }
  return key;
}

function assertOrigin(origin: string): void {
  if (!isKeyName(origin)) {
    throw new LogKeyError(
      `“${origin}” cannot be a log's name: use a host name and path without spaces or plus signs.`,
    );
  }
}

function orExplain<T>(what: string, act: () => T): T {
  try {
    return act();
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown error';
    const advice: Record<string, string> = {
      EEXIST: 'there is a file already, and a key is never overwritten',
      ENOENT: 'there is no such file or folder',
      EACCES: 'this user may not',
    };
    throw new LogKeyError(`Cannot ${what}: ${advice[code] ?? code}.`, { cause: error });
  }
}
