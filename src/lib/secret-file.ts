/** Secrets in files: readable by their owner only, and refused when they are not. */
import { closeSync, fstatSync, openSync, readFileSync, type BigIntStats } from 'node:fs';

/**
 * Reads a file that nobody else may read.
 *
 * @throws with what to do, never with what is in it
 */
export function readSecretFile(path: string, found?: (state: string) => void): string {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch (error) {
    throw new Error(`The secret file ${path} cannot be read. Check its path, owner and mode.`, {
      cause: error,
    });
  }
  try {
    const stats = fstatSync(file, { bigint: true });
    found?.(stateOf(stats));
    if ((Number(stats.mode) & 0o077) !== 0)
      throw new Error(
        `The secret file ${path} is open to others than its owner. Run "chmod 600 ${path}".`,
      );
    return readFileSync(file, 'utf8');
  } finally {
    closeSync(file);
  }
}

/** Changes with every write and every replacement of a file. */
export function stateOf({ ino, size, mode, mtimeNs, ctimeNs }: BigIntStats): string {
  return [ino, size, mode, mtimeNs, ctimeNs].join(' ');
}
