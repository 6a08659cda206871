/** Reads a bundle that was unpacked into a directory. */
import type { Stats } from 'node:fs';
import { open, opendir, stat } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { readPieces, type BundleReader } from './bundle-reader.ts';

/** Reads a bundle from a directory of the same layout. */
export function openDirectory(root: string): BundleReader {
  return {
    find: async (path) => {
      const status = await statIfThere(join(root, path));
      if (!status?.isFile()) return undefined;
      return { path, size: status.size, body: () => read(join(root, path)) };
    },
    surplus: async (belongs, folders) => {
      // Beside the bundle's own folders people may keep notes; inside them, a file would pass for checked.
      for (const folder of folders) {
        const found = await findSurplus(root, join(root, folder), belongs);
        if (found !== undefined) return found;
      }
      return undefined;
    },
    end: () => Promise.resolve(),
    close: () => Promise.resolve(),
  };
}

async function* read(path: string): AsyncGenerator<Buffer> {
  const file = await open(path, 'r');
  try {
    yield* readPieces(file, 0, Infinity);
  } finally {
    await file.close();
  }
}

async function statIfThere(path: string): Promise<Stats | undefined> {
  try {
    return await stat(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw error;
  }
}

async function findSurplus(
  root: string,
  folder: string,
  belongs: (path: string) => boolean,
): Promise<string | undefined> {
  let entries;
  try {
    entries = await opendir(folder);
  } catch (error) {
    // A log without entries has neither folder.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  for await (const entry of entries) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      const found = await findSurplus(root, path, belongs);
      if (found !== undefined) return found;
    } else {
      const name = relative(root, path).split(sep).join('/');
      if (!belongs(name)) return name;
    }
  }
  return undefined;
}
