/** Reads a bundle that was unpacked into a directory. */
import type { Stats } from 'node:fs';
import { open, opendir, stat } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { readFully, type BundleReader } from './bundle-reader.ts';

const READ_BYTES = 256 * 1024;

/** Reads a bundle from a directory of the same layout. */
export function openDirectory(root: string): BundleReader {
  return {
    next: async (path) => {
      const status = await statIfThere(join(root, path));
      if (!status?.isFile()) return undefined;
      return { path, size: status.size, position: 0, body: () => read(join(root, path)) };
    },
    again: async ({ path }, length) => {
      const file = await open(join(root, path), 'r');
      try {
        const bytes = Buffer.alloc(length);
        return bytes.subarray(0, await readFully(file, bytes, 0));
      } finally {
        await file.close();
      }
    },
    surplus: async (belongs, folders) => {
      // Beside the bundle's own folders people may keep notes; inside them, a file would pass for checked.
      for (const folder of folders) {
        const found = await findSurplus(root, join(root, folder), belongs);
        if (found !== undefined) return found;
      }
      return undefined;
    },
    close: () => Promise.resolve(),
  };
}

async function* read(path: string): AsyncGenerator<Buffer> {
  const file = await open(path, 'r');
  try {
    for (let position = 0; ;) {
      const buffer = Buffer.allocUnsafe(READ_BYTES);
      const filled = await readFully(file, buffer, position);
      if (filled === 0) return;
      position += filled;
      yield buffer.subarray(0, filled);
    }
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
