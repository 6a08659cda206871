import { describe, expect, it } from 'vitest';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { storedVectors, type StoredVector } from '../vectors/read-vectors.ts';
import {
  checkBundle,
  checkConsistency,
  checkMirror,
  checkReceipt,
  judge,
  keysThatCount,
  openCheckpoint,
  readKeys,
  type Found,
} from './independent-verifier.ts';
import { bundleOf, sampleLog } from './sample-log.ts';

function run({ kind, keys: texts, history, file }: StoredVector): Found {
  const bytes = (path: string): Buffer => file(path) ?? Buffer.alloc(0);
  return judge(() => {
    const keys = readKeys(texts);
    if (kind === 'note')
      openCheckpoint(bytes('checkpoint'), keysThatCount(bytes('checkpoint'), keys, history));
    else if (kind === 'receipt')
      checkReceipt(bytes('entry'), bytes('receipt.tlog-proof').toString(), keys);
    else if (kind === 'consistency') {
      const lines = bytes('proof').toString().split('\n').slice(0, -1);
      const proof = lines.map((line) => Buffer.from(line, 'base64'));
      checkConsistency(
        openCheckpoint(bytes('older'), keys),
        openCheckpoint(bytes('newer'), keys),
        proof,
      );
    } else if (kind === 'log') checkMirror(file, keys, file('seen'), history);
    else checkBundle(bytes('bundle.tar'), keys, history);
  });
}

describe('a verifier that was written from the document alone', () => {
  it('imports nothing of the product', () => {
    const code = readFileSync(join(import.meta.dirname, 'independent-verifier.ts'), 'utf8');
    const imports = [...code.matchAll(/from '([^']+)'/g)].map(([, name]) => name);
    expect(imports).toEqual(['node:crypto']);
  });

  it.each(storedVectors().map((vector): [string, StoredVector] => [vector.name, vector]))(
    'finds of %s what is expected',
    (_name, vector) => {
      const { status, firstBadIndex } = vector;
      expect(run(vector)).toEqual({ status, firstBadIndex });
    },
  );

  it.each([0, 1, 255, 256, 257, 1025, 2100])(
    'finds a bundle of %i entries sound, and one with a changed entry not',
    async (size) => {
      const log = sampleLog(size);
      const keys = readKeys([log.verifierKey]);
      const tar = await bundleOf(log);
      expect(judge(() => checkBundle(tar, keys))).toEqual({
        status: 'sound',
        firstBadIndex: null,
      });
      const at = tar.lastIndexOf(`"id":"ent_${size - 1}"`) + 8;
      tar.writeUInt8(tar.readUInt8(at) ^ 1, at);
      expect(judge(() => checkBundle(tar, keys)).status).toBe('tampered');
    },
  );
});
