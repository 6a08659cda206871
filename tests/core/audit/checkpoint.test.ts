import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import * as fc from 'fast-check';
import {
  CheckpointError,
  checkConsistency,
  formatCheckpoint,
  openCheckpoint,
  parseCheckpoint,
} from '../../../src/core/audit/checkpoint.ts';
import {
  ed25519Signer,
  formatVerifierKey,
  rawPublicKey,
} from '../../../src/core/audit/note-keys.ts';
import { NoteError, signNote } from '../../../src/core/audit/note.ts';
import { consistencyProof } from '../../../src/core/audit/proofs.ts';
import { hashesOfTile } from '../../../src/core/audit/tiles.ts';
import { flipped, naiveRoot, someLeaves } from './naive-tree.ts';

const ORIGIN = 'log.example/a';
const ROOT = Buffer.alloc(32, 7);
const BODY = `${ORIGIN}\n20852163\nBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\n`;

function newKey(name: string) {
  const { privateKey } = generateKeyPairSync('ed25519');
  const verifierKey = formatVerifierKey(name, rawPublicKey(privateKey));
  return { verifierKey, sign: (text: string) => signNote(text, [ed25519Signer(name, privateKey)]) };
}

const key = newKey(ORIGIN);

describe('a checkpoint', () => {
  it('has the three lines of the specification', () => {
    expect(formatCheckpoint({ origin: ORIGIN, size: 20852163, root: ROOT })).toBe(BODY);
    expect(parseCheckpoint(BODY)).toEqual({ origin: ORIGIN, size: 20852163, root: ROOT });
  });

  it('is read back to what it was written from', () => {
    const root = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((b) => Buffer.from(b));
    fc.assert(
      fc.property(fc.maxSafeNat(), root, (size, hash) => {
        const checkpoint = { origin: ORIGIN, size, root: hash };
        expect(parseCheckpoint(formatCheckpoint(checkpoint))).toEqual(checkpoint);
      }),
    );
  });

  it.each([
    ['nothing', ''],
    ['no origin', BODY.replace(ORIGIN, '')],
    ['a leading zero', BODY.replace('20852163', '020852163')],
    ['a sign', BODY.replace('20852163', '+20852163')],
    ['a fraction', BODY.replace('20852163', '2.5')],
    ['an exponent', BODY.replace('20852163', '1e3')],
    ['no size', BODY.replace('20852163', '')],
    ['a size above 2^53', BODY.replace('20852163', '9007199254740993')],
    ['a short root', BODY.replace('BwcH', '')],
    ['a root in loose base64', BODY.replace('wc=', 'wd=')],
    ['an extension line', `${BODY}extension\n`],
    ['a blank line', `${BODY}\n`],
    ['no final newline', BODY.slice(0, -1)],
  ])('is refused with %s', (_, body) => {
    expect(body).not.toBe(BODY);
    expect(() => parseCheckpoint(body)).toThrow(CheckpointError);
  });

  it('cannot be made of what is not one', () => {
    expect(() => formatCheckpoint({ origin: ORIGIN, size: -1, root: ROOT })).toThrow(RangeError);
    expect(() => formatCheckpoint({ origin: ORIGIN, size: 0.5, root: ROOT })).toThrow(RangeError);
    expect(() => formatCheckpoint({ origin: 'a\nb', size: 1, root: ROOT })).toThrow(RangeError);
    expect(() => formatCheckpoint({ origin: '', size: 1, root: ROOT })).toThrow(RangeError);
    expect(() => formatCheckpoint({ origin: ORIGIN, size: 1, root: ROOT.subarray(1) })).toThrow(
      RangeError,
    );
  });

  it('opens with the key that signed it and with no other', () => {
    const note = key.sign(BODY);
    expect(openCheckpoint(note, key.verifierKey).size).toBe(20852163);
    expect(openCheckpoint(Buffer.from(note), key.verifierKey).size).toBe(20852163);
    expect(() => openCheckpoint(note, newKey(ORIGIN).verifierKey)).toThrow(NoteError);
    expect(() => openCheckpoint(note, 'nonsense')).toThrow(RangeError);
    expect(() => openCheckpoint(note.replace('20852163', '20852164'), key.verifierKey)).toThrow(
      NoteError,
    );
  });

  it('is of no other log than the one whose key signed it', () => {
    const other = newKey('other.example');
    expect(() => openCheckpoint(other.sign(BODY), other.verifierKey)).toThrow(CheckpointError);
  });

  it('stays valid when the log changes its key: old and new keys are known side by side', () => {
    const next = newKey(ORIGIN);
    const keys = [key.verifierKey, next.verifierKey];
    expect(openCheckpoint(key.sign(BODY), keys).size).toBe(20852163);
    expect(openCheckpoint(next.sign(BODY), keys).size).toBe(20852163);
  });
});

describe('two checkpoints', () => {
  const leaves = someLeaves(50);
  const hashes = hashesOfTile(Buffer.concat(leaves));
  const at = (size: number, signer = key, origin = ORIGIN) =>
    signer.sign(formatCheckpoint({ origin, size, root: naiveRoot(leaves.slice(0, size)) }));
  const check = (older: string, newer: string, proof: readonly Uint8Array[]) =>
    checkConsistency(older, newer, key.verifierKey, proof);

  it('are consistent when the proof says so', () => {
    expect(check(at(20), at(50), consistencyProof(20, 50, hashes))).toEqual({ consistent: true });
    expect(check(at(0), at(50), [])).toEqual({ consistent: true });
    expect(check(at(50), at(50), [])).toEqual({ consistent: true });
  });

  it('are refused with the reason: a wrong proof, a log that shrank, a split view, another log', () => {
    const proof = consistencyProof(20, 50, hashes);
    const problem = (verdict: ReturnType<typeof check>) =>
      'problem' in verdict ? verdict.problem : '';
    const wrong = proof.with(1, flipped(proof[1] ?? Buffer.alloc(32), 3));
    expect(problem(check(at(20), at(50), wrong))).toContain('does not show');
    expect(problem(check(at(50), at(20), proof))).toContain('shrank');
    const split = key.sign(formatCheckpoint({ origin: ORIGIN, size: 50, root: ROOT }));
    expect(problem(check(at(50), split, []))).toContain('two versions');
    const other = newKey('other.example');
    const theirs = at(50, other, 'other.example');
    const both = [key.verifierKey, other.verifierKey];
    expect(problem(checkConsistency(at(20), theirs, both, proof))).toContain('two logs');
  });

  it('count for nothing when a signature is missing, whatever the proof', () => {
    const proof = consistencyProof(20, 50, hashes);
    const forged = at(50, newKey(ORIGIN));
    expect(check(at(20), forged, proof)).toMatchObject({ consistent: false });
    expect(check(at(20, newKey(ORIGIN)), at(50), proof)).toMatchObject({ consistent: false });
    expect(() => checkConsistency(at(20), at(50), 'no key', proof)).toThrow(RangeError);
  });
});
