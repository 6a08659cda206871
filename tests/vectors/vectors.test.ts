import { readdirSync, statSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { describe, expect, it } from 'vitest';
import { verifyBundle } from '../../src/audit/verify-bundle.ts';
import { browserPrimitives } from '../../src/verify/browser.ts';
import { createVerifier, type Verdict, type Verifier } from '../../src/verify/index.ts';
import { nodePrimitives } from '../../src/verify/node.ts';
import { newCli } from '../cli/run-cli.ts';
import { storedVectors, type StoredVector } from './read-vectors.ts';
import { allVectors } from './vectors.ts';

const vectors = storedVectors();

const filesIn = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((path) =>
    statSync(join(folder, path)).isFile(),
  );

describe('the vectors in the repository', () => {
  it('are, byte for byte, what their maker makes', async () => {
    const made = await allVectors();
    expect(vectors.map(({ name }) => name).toSorted()).toEqual(made.map(({ name }) => name));
    for (const { name, files, ...expected } of made) {
      const stored = vectors.find((vector) => vector.name === name);
      if (!stored) throw new Error(`no ${name}`);
      const { kind, about, keys, history, status, firstBadIndex } = stored;
      expect({
        kind,
        about,
        keys,
        ...(history !== undefined && { history }),
        status,
        firstBadIndex,
      }).toEqual(expected);
      expect(filesIn(stored.folder).toSorted()).toEqual(
        [...Object.keys(files), 'expected.json'].toSorted(),
      );
      for (const [path, content] of Object.entries(files))
        expect([name, path, stored.file(path)?.equals(content)]).toEqual([name, path, true]);
    }
  });

  it('stand in the folder of what they are', () => {
    const misplaced = vectors.filter(
      ({ folder, status }) => folder.includes('/valid/') !== (status === 'sound'),
    );
    expect(misplaced.map(({ folder }) => relative(import.meta.dirname, folder))).toEqual([]);
  });
});

const text = (vector: StoredVector, path: string): string => String(vector.file(path) ?? '');

function run(verifier: Verifier, vector: StoredVector): Verdict | Promise<Verdict> {
  const { kind, history, file } = vector;
  const keys = { keys: vector.keys, history };
  const bytes = (path: string): Buffer => file(path) ?? Buffer.alloc(0);
  switch (kind) {
    case 'note':
      return verifier.checkpoint(bytes('checkpoint'), keys);
    case 'receipt':
      return verifier.receipt(bytes('entry'), text(vector, 'receipt.tlog-proof'), keys);
    case 'consistency': {
      const proof = text(vector, 'proof').split('\n').slice(0, -1);
      const hashes = proof.map((line) => Buffer.from(line, 'base64'));
      return verifier.consistency(bytes('older'), bytes('newer'), hashes, keys);
    }
    case 'log': {
      const seen = file('seen');
      const source = { read: (path: string) => Promise.resolve(file(path)) };
      const offered = history ?? (file('keys') && text(vector, 'keys'));
      return verifier.log(source, { ...keys, history: offered }, seen && { seen });
    }
    case 'bundle':
      return verifyBundle(join(vector.folder, 'bundle.tar'), {
        keys: keys.keys,
        histories: history === undefined ? [] : [history],
      });
  }
}

describe.each([
  ["Node's primitives", createVerifier(nodePrimitives)],
  ["a browser's", createVerifier(browserPrimitives)],
])('with %s', (_, verifier) => {
  it.each(vectors.map((vector): [string, StoredVector] => [vector.name, vector]))(
    '%s gives what is expected of it',
    async (_name, vector) => {
      const { status, firstBadIndex = null, problem = '' } = await run(verifier, vector);
      const { status: expected, firstBadIndex: index } = vector;
      expect({ status, firstBadIndex }).toEqual({ status: expected, firstBadIndex: index });
      // A sentence, exactly where something is wrong.
      expect(/^[A-Z“a-z][^]+\.$/.test(problem)).toBe(expected !== 'sound');
    },
  );
});

describe('audit verify', () => {
  const CODES = { sound: 0, tampered: 1, incomplete: 2, could_not_run: 3 };
  const targets = storedVectors('log', 'bundle').filter(({ file }) => file('seen') === undefined);

  it.each(targets.map((vector): [string, StoredVector] => [vector.name, vector]))(
    'of %s ends with the code of its status',
    async (_name, { kind, folder, keys, history, status, firstBadIndex }) => {
      const cli = newCli();
      try {
        const target = kind === 'bundle' ? join(folder, 'bundle.tar') : folder;
        const args = keys.flatMap((key) => ['--key', key]);
        if (history !== undefined) {
          const path = join(cli.folder, 'history.json');
          writeFileSync(path, history);
          args.push('--history', path);
        }
        const { code, out } = await cli.run('audit', 'verify', target, ...args);
        // A log without entries has no tile by which a directory would be known as its mirror.
        const isMirror =
          kind === 'bundle' || filesIn(folder).some((path) => path.startsWith('tile'));
        expect([isMirror, code]).toEqual([isMirror, isMirror ? CODES[status] : CODES.incomplete]);
        const named = `The first bad index is ${firstBadIndex}.`;
        expect(out.includes(named)).toBe(firstBadIndex !== null);
      } finally {
        cli.remove();
      }
    },
  );
});
