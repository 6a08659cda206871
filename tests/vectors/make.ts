/** Writes the vectors: `node --import ./tests/bench/load-typescript.mjs tests/vectors/make.ts`. The same bytes every time. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { allVectors } from './vectors.ts';

for (const folder of ['valid', 'invalid'])
  rmSync(join(import.meta.dirname, folder), { recursive: true, force: true });
for (const { name, files, ...expected } of await allVectors()) {
  const folder = join(import.meta.dirname, expected.status === 'sound' ? 'valid' : 'invalid', name);
  const write = (path: string, content: Buffer | string): void => {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), content);
  };
  write('expected.json', `${JSON.stringify(expected, null, 2)}\n`);
  for (const [path, content] of Object.entries(files)) write(path, content);
}
