/** The keys that sign the log. They are read once, at start; the private halves never leave here. */
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { formatCheckpoint } from '../core/audit/checkpoint.ts';
import {
  ed25519Signer,
  formatVerifierKey,
  isKeyName,
  rawPublicKey,
} from '../core/audit/note-keys.ts';
import { signNote, type NoteSigner } from '../core/audit/note.ts';
import { KeyFileError, createKeyFile, loadKeyFile, saveKeyFile } from '../lib/key-file.ts';

/** What the broker can do with the log's key. */
export interface LogKey {
  /** The log's name, which is also the key's. */
  readonly origin: string;
  /** The public half as text (C2SP verifier key): what auditors are given, by another way than the log itself. */
  readonly verifierKey: string;
  /**
   * Signs a checkpoint over the first `size` entries.
   *
   * @param root 32 bytes
   * @param at epoch milliseconds: keys that were replaced sign beside the new one until their time is over
   * @returns the signed note
   */
  signCheckpoint: (size: number, root: Uint8Array, at: number) => string;
  /** Makes a key in a new file that can follow this one, see {@link NextKey}. Throws KeyFileError. */
  makeNext: () => NextKey;
}

/** A key that is on disk and signs no checkpoint yet. */
interface NextKey {
  verifierKey: string;
  /** Name of its file, beside that of the first key. */
  file: string;
  /** Signs a text with the present key and with this one. */
  signStep: (text: string) => string;
  /**
   * Has it sign checkpoints, with the keys before it beside it until a moment (epoch milliseconds) at the longest.
   *
   * @returns how to take that back
   */
  takeOver: (until: number) => () => void;
}

/** A key that signed the log, as the store keeps it. */
export interface KnownKey {
  verifierKey: string;
  /** In the folder of keys. */
  file: string;
  /** Until when it signs beside those that followed it, epoch milliseconds; null: it is the newest. */
  signsUntil: number | null;
}

/**
 * Makes a new log key in a new file (see {@link createKeyFile}).
 *
 * @param origin the log's name, for instance `audit.lab.example/sallyport`
 * @throws KeyFileError
 */
export function createLogKey(path: string, origin: string): LogKey {
  assertOrigin(origin);
  return logKey(dirname(path), origin, [held(origin, createKeyFile(path), Infinity)]);
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
  return logKey(dirname(path), origin, [held(origin, loadKeyFile(path), Infinity)]);
}

/**
 * Loads the keys of a log whose key was replaced, or can be: the newest, and those before it that still sign.
 *
 * @param known oldest first, at least one
 * @param now epoch milliseconds
 * @returns the key, and the files of those before it that are gone: whoever knows only them trusts no checkpoint any more
 * @throws KeyFileError when the newest cannot be used, or one that is there is another than it was
 */
export function openLogKeys(
  folder: string,
  origin: string,
  known: readonly KnownKey[],
  now: number,
): { key: LogKey; missing: string[] } {
  assertOrigin(origin);
  const missing: string[] = [];
  const keys: HeldKey[] = [];
  for (const { file, verifierKey, signsUntil } of known) {
    const path = join(folder, file);
    if (signsUntil !== null && signsUntil <= now) continue;
    if (signsUntil !== null && !existsSync(path)) {
      missing.push(file);
      continue;
    }
    const one = held(origin, loadKeyFile(path), signsUntil ?? Infinity);
    if (one.verifierKey !== verifierKey)
      throw new KeyFileError(
        `${path} is another key than the log has: its checkpoints are signed by ${verifierKey}. Put the right file back; to have a new key take over, "sallyport audit rotate-key".`,
      );
    keys.push(one);
  }
  return { key: logKey(folder, origin, keys), missing };
}

interface HeldKey {
  signer: NoteSigner;
  verifierKey: string;
  /** Epoch milliseconds. */
  until: number;
}

function held(origin: string, privateKey: KeyObject, until: number): HeldKey {
  return {
    signer: ed25519Signer(origin, privateKey),
    verifierKey: formatVerifierKey(origin, rawPublicKey(privateKey)),
    until,
  };
}

/** @param keys oldest first */
function logKey(folder: string, origin: string, keys: readonly HeldKey[]): LogKey {
  let present = keys;
  const newest = (): HeldKey => present.at(-1) as HeldKey;
  return {
    origin,
    get verifierKey() {
      return newest().verifierKey;
    },
    signCheckpoint(size, root, at) {
      const signing = present.filter(({ until }) => until > at).map(({ signer }) => signer);
      return signNote(formatCheckpoint({ origin, size, root }), signing.reverse());
    },
    makeNext() {
      const { file, privateKey } = newKey(folder, origin);
      const next = held(origin, privateKey, Infinity);
      return {
        verifierKey: next.verifierKey,
        file,
        signStep: (text) => signNote(text, [newest().signer, next.signer]),
        takeOver(until) {
          const before = present;
          // None of before signs longer than the one that is replaced now.
          present = [...before.map((key) => ({ ...key, until: Math.min(key.until, until) })), next];
          return () => (present = before);
        },
      };
    },
  };
}

/** In a file that bears the key's id: two never have the same name, and none of before is overwritten. */
function newKey(folder: string, origin: string): { file: string; privateKey: KeyObject } {
  const { privateKey } = generateKeyPairSync('ed25519');
  const { keyId } = ed25519Signer(origin, privateKey);
  const file = `log-${keyId.toString(16).padStart(8, '0')}.pem`;
  saveKeyFile(join(folder, file), privateKey);
  return { file, privateKey };
}

function assertOrigin(origin: string): void {
  if (!isKeyName(origin)) {
    throw new KeyFileError(
      `"${origin}" cannot be a log's name: use a host name and path without spaces or plus signs.`,
    );
  }
}
