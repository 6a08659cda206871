/**
 * Noticing that files were deleted or replaced while they are open: the operating system goes on writing to them, and
 * everything since would be lost at the next start.
 */
import { statSync } from 'node:fs';
import { dirname } from 'node:path';

/**
 * A directory that changed so shortly ago is not relied on: on some systems a second change within a few milliseconds
 * leaves its time as it was.
 */
const SETTLED_AFTER_MS = 1_000n;

/** Watches files of one directory. */
export class SameFiles {
  readonly #directory: string;
  readonly #paths: readonly string[];
  readonly #inodes = new Map<string, bigint>();
  #changedAt: bigint | undefined;

  /** @param paths files of one directory; one that is not there yet is known from when it first is */
  constructor(paths: readonly [string, ...string[]]) {
    this.#directory = dirname(paths[0]);
    this.#paths = paths;
    for (const path of paths) {
      const inode = inodeOf(path);
      if (inode !== undefined) this.#inodes.set(path, inode);
    }
  }

  /**
   * Asks the directory, which changes whenever a name in it is made, deleted or replaced, and the files only if it has.
   * To ask a file each time makes every write to it a third slower: a file system that gives out fine times has to
   * write the inode again after each time that somebody has seen.
   *
   * @throws when a path does not lead to the file any more that it led to
   */
  check(): void {
    const { mtimeMs = -1n, mtimeNs = -1n } = statOf(this.#directory) ?? {};
    if (mtimeNs === this.#changedAt) return;
    for (const path of this.#paths) this.#checkOne(path);
    const isSettled = BigInt(Date.now()) - mtimeMs > SETTLED_AFTER_MS;
    this.#changedAt = isSettled ? mtimeNs : undefined;
  }

  #checkOne(path: string): void {
    const inode = inodeOf(path);
    const known = this.#inodes.get(path) ?? inode;
    if (inode === undefined || inode !== known)
      throw new Error(`${path} was deleted or replaced while the broker was running.`);
    this.#inodes.set(path, inode);
  }
}

const statOf = (path: string) => statSync(path, { bigint: true, throwIfNoEntry: false });

const inodeOf = (path: string): bigint | undefined => statOf(path)?.ino;
