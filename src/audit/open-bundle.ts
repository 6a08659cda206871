/** Opens a bundle, whichever form it has. */
import { open, stat, type FileHandle } from 'node:fs/promises';
import type { BundleReader } from './bundle-reader.ts';
import { readFully } from './bundle-reader.ts';
import { openDirectory } from './directory-reader.ts';
import { Finding } from '../verify/finding.ts';
import { BLOCK } from './tar-header.ts';
import { openTar } from './tar-reader.ts';

/** The first two bytes of what gzip wrote. */
const GZIP = 0x1f_8b;

/** Opens a bundle. Throws a Finding `could_not_run` when there is nothing at that path that can be read. */
export async function openBundle(path: string): Promise<BundleReader> {
  const status = await orCouldNotRun(path, stat(path));
  if (status.isDirectory()) return openDirectory(path);
  if (!status.isFile()) {
    throw new Finding(
      'could_not_run',
      `${path} is neither a file nor a directory. A bundle is read in any order, which a pipe does not allow: save it to a file first.`,
    );
  }
  const file = await orCouldNotRun(path, open(path, 'r'));
  const why = whyNoTar(await firstBlock(file));
  if (why === undefined) return openTar(file);
  await file.close();
  throw new Finding('could_not_run', `${path} is no evidence bundle: ${why}.`);
}

async function firstBlock(file: FileHandle): Promise<Buffer> {
  const block = Buffer.alloc(BLOCK);
  return block.subarray(0, await readFully(file, block, 0));
}

/** Damage to one place leaves either the magic or the numbers of a header: without both, it never was one. */
function whyNoTar(block: Buffer): string | undefined {
  if (block.length >= 2 && block.readUInt16BE(0) === GZIP)
    return 'it is compressed, unpack it with gunzip first';
  if (block.length < BLOCK || block.every((byte) => byte === 0)) return undefined;
  const isMarked = block.toString('latin1', 257, 262) === 'ustar';
  const hasNumbers = /^[0-7 \0]*$/.test(block.toString('latin1', 100, 156));
  return isMarked || hasNumbers ? undefined : 'it is not a tar archive';
}

async function orCouldNotRun<T extends FileHandle | Awaited<ReturnType<typeof stat>>>(
  path: string,
  act: Promise<T>,
): Promise<T> {
  try {
    return await act;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown error';
    const reason: Record<string, string> = {
      ENOENT: 'there is no such file',
      EACCES: 'this user may not read it',
    };
    throw new Finding('could_not_run', `Cannot read ${path}: ${reason[code] ?? code}.`);
  }
}
