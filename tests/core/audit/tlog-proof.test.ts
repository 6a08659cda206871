import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { formatTlogProof, parseTlogProof } from '../../../src/core/audit/tlog-proof.ts';

const NOTE = 'a.example/log\n3\nroot\n\n— a.example/log sig\n';

describe('a proof of one entry', () => {
  it('is read as it was written', () => {
    for (const count of [0, 1, 5]) {
      const proof = Array.from({ length: count }, () => randomBytes(32));
      const text = formatTlogProof(12, proof, NOTE);
      expect(text.startsWith('c2sp.org/tlog-proof@v1\nindex 12\n')).toBe(true);
      expect(parseTlogProof(text)).toEqual({ index: 12, proof, checkpoint: NOTE });
    }
  });

  const hash = randomBytes(32).toString('base64');
  it.each([
    ['nothing', ''],
    ['another version', `c2sp.org/tlog-proof@v2\nindex 1\n\n${NOTE}`],
    ['no index', `c2sp.org/tlog-proof@v1\n${hash}\n\n${NOTE}`],
    ['an index with a sign', `c2sp.org/tlog-proof@v1\nindex -1\n\n${NOTE}`],
    ['an index that no log reaches', `c2sp.org/tlog-proof@v1\nindex 9999999999999999\n\n${NOTE}`],
    ['a hash that is short', `c2sp.org/tlog-proof@v1\nindex 1\n${hash.slice(0, 8)}\n\n${NOTE}`],
    ['a hash written otherwise', `c2sp.org/tlog-proof@v1\nindex 1\n${hash} \n\n${NOTE}`],
    ['no end', `c2sp.org/tlog-proof@v1\nindex 1\n${hash}\n`],
  ])('is not %s', (_name, text) => {
    expect(parseTlogProof(text)).toBeUndefined();
  });
});
