/** Opens a bundle, whichever form it has. */
import { open, stat, type FileHandle } from 'node:fs/promises';
import type { BundleReader } from './bundle-reader.ts';
import { openDirectory } from './directory-reader.ts';
import { Finding } from '../verify/finding.ts';
import { openTar } from './tar-reader.ts';

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
  return openTar(await orCouldNotRun(path, open(path, 'r')));
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
