/** Appending lines to a file that others read, so that it holds whole lines only, and each before its writer goes on. */
import {
  closeSync,
  constants,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';

export interface LinesFile {
  path: string;
  /** A file that would grow past it is renamed to `path.1` before; what was `path.1` becomes `path.2`, and so on. */
  maxBytes: number;
  /** How many renamed ones are kept. */
  keep: number;
}

// A link, or a pipe that nobody reads, is not to be followed or waited for.
const FLAGS = constants.O_RDWR | constants.O_APPEND | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/**
 * Appends lines. When it returns they are on the disk. What an interruption left of a line is cut off first.
 *
 * @param lines each with its line feed
 * @throws when the file cannot be written; the lines are to be appended again then
 */
export function appendLines(file: LinesFile, lines: Uint8Array): void {
  let fd = openFile(file.path);
  try {
    const size = wholeLines(fd);
    if (size > 0 && size + lines.length > file.maxBytes) {
      closeSync(fd);
      fd = -1;
      rotate(file);
      fd = openFile(file.path);
    }
    for (let at = 0; at < lines.length;) at += writeSync(fd, lines, at);
    fdatasyncSync(fd);
  } finally {
    if (fd !== -1) closeSync(fd);
  }
}

/** Paths whose name is known to be on the disk: those that were there before may have been left by a crash. */
const namesOnDisk = new Set<string>();

function openFile(path: string): number {
  const fd = openOrMake(path);
  try {
    if (!fstatSync(fd).isFile()) throw new Error(`${path} is not a file.`);
    if (!namesOnDisk.has(path)) syncFolderOf(path);
    namesOnDisk.add(path);
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

function openOrMake(path: string): number {
  try {
    return openSync(path, FLAGS);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    namesOnDisk.delete(path);
    return openSync(path, FLAGS | constants.O_CREAT, 0o600);
  }
}

/** Names of files are on the disk when it returns. */
function syncFolderOf(path: string): void {
  const folder = openSync(dirname(path), constants.O_RDONLY);
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

const LINE_FEED = 0x0a;
const BLOCK = 65_536;

/** Cuts off what is not a whole line. @returns the size that is left */
function wholeLines(fd: number): number {
  const { size } = fstatSync(fd);
  const block = Buffer.alloc(BLOCK);
  for (let end = size; end > 0;) {
    const start = Math.max(0, end - BLOCK);
    const read = readSync(fd, block, 0, end - start, start);
    const feed = block.subarray(0, read).lastIndexOf(LINE_FEED);
    if (feed !== -1) {
      const whole = start + feed + 1;
      if (whole < size) ftruncateSync(fd, whole);
      return whole;
    }
    end = start;
  }
  if (size > 0) ftruncateSync(fd, 0);
  return 0;
}

function rotate({ path, keep }: LinesFile): void {
  const at = (n: number): string => (n === 0 ? path : `${path}.${n}`);
  rmSync(at(keep), { force: true });
  for (let n = keep - 1; n >= 0; n -= 1) {
    try {
      renameSync(at(n), at(n + 1));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
  // Crash before this has returned: after the next start the names are as they were, or as they are now.
  syncFolderOf(path);
}
