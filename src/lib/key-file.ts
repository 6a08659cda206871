/** Private keys in files: readable by their owner only, and refused when they are not. */
import {
  createPrivateKey,
  generateKeyPairSync,
  randomBytes,
  randomUUID,
  type KeyObject,
} from 'node:crypto';
import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  fsyncSync,
  linkSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';

/** Thrown when a key file cannot be made or used. The message says what to do. */
export class KeyFileError extends Error {
  override readonly name = 'KeyFileError';
}

/** Permission bits of anybody but the owner. */
const OTHERS = 0o077;

/**
 * Makes a new Ed25519 key in a new file: PKCS #8 PEM, mode 0600, on disk when this returns.
 *
 * @param path file that must not exist yet: a key that has signed anything is never overwritten
 * @throws KeyFileError
 */
export function createKeyFile(path: string): KeyObject {
  const { privateKey } = generateKeyPairSync('ed25519');
  saveKeyFile(path, privateKey);
  return privateKey;
}

/**
 * Writes a private key to a new file, as {@link createKeyFile} does.
 *
 * @throws KeyFileError
 */
export function saveKeyFile(path: string, privateKey: KeyObject): void {
  createPrivateFile(path, privateKey.export({ type: 'pkcs8', format: 'pem' }).toString());
}

/**
 * Makes a file that only its owner can read, whole or not at all; its name and content are on disk when this
 * returns. A process that is killed meanwhile may leave a file beside it whose name ends in ".part", which is in
 * nobody's way.
 */
function createPrivateFile(path: string, text: string): void {
  const part = `${path}.${randomUUID()}.part`;
  orExplain(`make the key ${path}`, () => {
    try {
      writeOnDisk(part, text);
      // Not renamed: that would overwrite a file of this name.
      linkSync(part, path);
    } finally {
      rmSync(part, { force: true });
    }
  });
  // The name as well: after a crash, what was signed with a key that is gone could never be continued.
  syncFolder(dirname(path));
}

function writeOnDisk(path: string, text: string): void {
  const file = openSync(path, 'wx', 0o600);
  try {
    writeFileSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** Puts the names of a folder's files on disk. */
function syncFolder(path: string): void {
  const folder = openSync(path, constants.O_RDONLY);
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

/**
 * Loads an Ed25519 private key.
 *
 * @throws KeyFileError when the file is missing, open to others than its owner, or not an Ed25519 key
 */
export function loadKeyFile(path: string): KeyObject {
  const key = parseKey(path, readPrivateFile(path));
  if (key.asymmetricKeyType !== 'ed25519') {
    throw new KeyFileError(
      `The key ${path} is not an Ed25519 key, but one of type ${key.asymmetricKeyType ?? 'unknown'}.`,
    );
  }
  return key;
}

function readPrivateFile(path: string): string {
  const file = orExplain(`open the key ${path}`, () => openSync(path, constants.O_RDONLY));
  try {
    // Of the opened file, not of its path: what is checked is what is read.
    const status = fstatSync(file);
    if (!status.isFile()) throw new KeyFileError(`The key ${path} is not a plain file.`);
    if ((status.mode & OTHERS) !== 0) {
      const mode = (status.mode & 0o777).toString(8).padStart(3, '0');
      throw new KeyFileError(
        `The key ${path} is open to others than its owner (mode ${mode}). Run "chmod 600 ${path}", and if others may have read it, replace the key.`,
      );
    }
    return readFileSync(file, 'utf8');
  } finally {
    closeSync(file);
  }
}

/**
 * Loads 32 random bytes that are kept in a file, or makes the file where there is none yet: base64url,
 * mode 0600.
 *
 * @throws KeyFileError
 */
export function openSecretFile(path: string): Buffer {
  if (!existsSync(path)) createPrivateFile(path, `${randomBytes(32).toString('base64url')}\n`);
  const secret = Buffer.from(readPrivateFile(path).trim(), 'base64url');
  if (secret.length !== 32)
    throw new KeyFileError(`The secret ${path} is damaged. Remove it: it is made anew.`);
  return secret;
}

function parseKey(path: string, pem: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch {
    // The parser's message could quote the file.
    throw new KeyFileError(`The key ${path} is not a private key in PKCS #8 PEM.`);
  }
}

const ADVICE: Record<string, string> = {
  EEXIST: 'there is a file already, and a key is never overwritten',
  ENOENT: 'there is no such file or folder',
  EACCES: 'this user may not',
  EPERM: 'this user may not, or its file system has no hard links, which it takes',
  ENOTSUP: 'its file system has no hard links, which it takes',
};

function orExplain<T>(what: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    throw new KeyFileError(`Cannot ${what}: ${ADVICE[code] ?? code}.`, { cause: error });
  }
}
