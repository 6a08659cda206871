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
  readonly #known = new Map<string, string>();
  /** Which directory it was and when a name in it changed last, where that is to be relied on. */
  #settled: string | undefined;

  /** @param paths files of one directory; one that is not there yet is known from when it first is */
  constructor(paths: readonly [string, ...string[]]) {
    this.#directory = dirname(paths[0]);
    this.#paths = paths;
    for (const path of paths) {
      const file = fileAt(path);
      if (file !== undefined) this.#known.set(path, file);
    }
  }

  /**
   * Asks the directory, which changes whenever a name in it is made, deleted or replaced, and the files only if it has.
   * To ask a file each time makes every write to it a third slower: a file system that gives out fine times has to
   * write the inode again after each time that somebody has seen. What no directory shows (a file mounted over another,
   * a link into another directory) is for {@link checkFiles}.
   *
   * @throws when a path does not lead to the file any more that it led to
   */
  check(): void {
    const directory = statOf(this.#directory);
    // ctime and not mtime, which tools that copy a directory set back.
    const state = directory && `${directory.dev} ${directory.ino} ${directory.ctimeNs}`;
    if (state !== undefined && state === this.#settled) return;
    this.checkFiles();
    const age = directory ? BigInt(Date.now()) - directory.ctimeMs : 0n;
    this.#settled = age > SETTLED_AFTER_MS ? state : undefined;
  }

  /** Asks the files themselves. @throws as {@link check} */
  checkFiles(): void {
    for (const path of this.#paths) this.#checkOne(path);
  }

  #checkOne(path: string): void {
    const file = fileAt(path);
    const known = this.#known.get(path) ?? file;
    if (file === undefined || file !== known)
      throw new Error(`${path} was deleted or replaced while the broker was running.`);
    this.#known.set(path, file);
  }
}

const statOf = (path: string) => statSync(path, { bigint: true, throwIfNoEntry: false });

/** Which file a path leads to. */
function fileAt(path: string): string | undefined {
  const file = statOf(path);
  return file && `${file.dev} ${file.ino}`;
}
