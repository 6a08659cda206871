/** Private keys that commands make for the user, in files that only the user can read. */
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import type { KeyObject } from 'node:crypto';
import { dirname, join } from 'node:path';
import { createKeyFile, loadKeyFile } from '../lib/key-file.ts';
import { fileTrouble, wrongUsage } from './problems.ts';
import { profilesPath } from './profiles.ts';
import type { Surroundings } from './surroundings.ts';

export interface HeldKey {
  /** Absolute path of its file. */
  path: string;
  key: KeyObject;
  /** Takes the file away again, if it was made just now. */
  undo(): void;
}

/** Where a key goes for which the user names no file: beside the profiles, by broker and purpose. */
export function defaultKeyPath(env: Surroundings['env'], url: string, purpose: string): string {
  const host = new URL(url).host.replaceAll(/[^A-Za-z0-9.-]/g, '_');
  return join(dirname(profilesPath(env)), 'keys', `${host}-${purpose}.pem`);
}

/**
 * The key in a file; where there is no such file, a new Ed25519 key in it. A key is never overwritten: a
 * command that was interrupted goes on with the one that it made.
 *
 * @throws CliError, or KeyFileError when the file cannot be used
 */
export function holdKey(path: string): HeldKey {
  if (existsSync(path)) return { path, key: loadKeyFile(path), undo: () => undefined };
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  } catch (error) {
    throw wrongUsage(`Cannot make the folder ${dirname(path)}: ${fileTrouble(error)}.`, error);
  }
  return { path, key: createKeyFile(path), undo: () => rmSync(path, { force: true }) };
}
