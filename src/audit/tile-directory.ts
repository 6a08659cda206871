/** A log in a directory, as a mirror holds it: `checkpoint`, `tile/<L>/…`, `tile/entries/…` (C2SP tlog-tiles). */
import { existsSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { MAX_ENTRY_BYTES } from '../core/audit/entry.ts';
import { TILE_WIDTH } from '../core/audit/tiles.ts';
import type { LogSource } from '../verify/log-source.ts';
import { MANIFEST_PATH, VERIFIER_KEY_PATH } from './bundle-layout.ts';

/** More than any file of a log has: 256 entries of the greatest length, with their lengths. */
const MOST_BYTES = TILE_WIDTH * (2 + MAX_ENTRY_BYTES);

/** Where a mirror keeps the entries. */
const ENTRIES_PATH = 'tile/entries';

/**
 * Whether a directory is a mirror of a log. One that has anything of an evidence bundle is a bundle, however much of it
 * is missing.
 */
export function isTileDirectory(root: string): boolean {
  const has = (path: string): boolean => existsSync(join(root, path));
  return has('tile') && ![MANIFEST_PATH, VERIFIER_KEY_PATH, 'entries'].some(has);
}

/** Whether a mirror has entries, or hashes alone. */
export function hasEntries(root: string): boolean {
  return existsSync(join(root, ENTRIES_PATH));
}

/** Reads a log from a directory. */
export function tileDirectory(root: string): LogSource {
  return {
    async read(path) {
      const file = join(root, path);
      try {
        const { size } = await stat(file);
        if (size > MOST_BYTES) throw new Error(`${path} has ${size} bytes, too many for a tile`);
        return await readFile(file);
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
        throw error;
      }
    },
  };
}
