/** The vectors as they stand in the repository. */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Expected } from './vectors.ts';

export interface StoredVector extends Expected {
  name: string;
  /** Where its files are. */
  folder: string;
  /** A file of it; undefined if there is none. */
  file: (path: string) => Buffer | undefined;
}

/** All of them, or those of some kinds. */
export function storedVectors(...kinds: Expected['kind'][]): StoredVector[] {
  const all = ['valid', 'invalid'].flatMap((half) => {
    const root = join(import.meta.dirname, half);
    return readdirSync(root).map((name) => readVector(name, join(root, name)));
  });
  return kinds.length === 0 ? all : all.filter(({ kind }) => kinds.includes(kind));
}

function readVector(name: string, folder: string): StoredVector {
  const file = (path: string): Buffer | undefined => {
    try {
      return readFileSync(join(folder, path));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  };
  const expected = JSON.parse(String(file('expected.json'))) as Expected;
  return { ...expected, name, folder, file };
}
