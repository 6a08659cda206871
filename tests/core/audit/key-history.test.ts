import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import {
  KeyHistoryError,
  formatKeyHistory,
  formatKeyStep,
  openCheckpointOf,
  parseKeyHistory,
} from '../../../src/core/audit/key-history.ts';
import { formatCheckpoint } from '../../../src/core/audit/checkpoint.ts';
import {
  ed25519Signer,
  formatVerifierKey,
  rawPublicKey,
} from '../../../src/core/audit/note-keys.ts';
import { signNote } from '../../../src/core/audit/note.ts';
import { openCheckpoint } from '../../../src/core/audit/checkpoint.ts';
import { openCheckpoint as openWith } from '../../../src/core/tlog/checkpoint.ts';
import { knownKeys } from '../../../src/audit/known-keys.ts';

const ORIGIN = 'log.example/a';

interface Key {
  privateKey: KeyObject;
  verifierKey: string;
}

function newKey(origin = ORIGIN): Key {
  const { privateKey } = generateKeyPairSync('ed25519');
  return { privateKey, verifierKey: formatVerifierKey(origin, rawPublicKey(privateKey)) };
}

const sign = (text: string, keys: readonly Key[]): string =>
  signNote(
    text,
    keys.map(({ privateKey }) => ed25519Signer(ORIGIN, privateKey)),
  );

const last = (size: number) => ({ origin: ORIGIN, size, root: Buffer.alloc(32, size) });

function step(old: Key, next: Key, size: number, signers = [old, next]): string {
  const { verifierKey: oldKey } = old;
  const { verifierKey: newKeyText } = next;
  return sign(formatKeyStep({ last: last(size), oldKey, newKey: newKeyText, at: 0 }), signers);
}

const checkpoint = (size: number, ...keys: Key[]): string =>
  sign(formatCheckpoint(last(size)), keys);

const [one, two, three, stranger] = [newKey(), newKey(), newKey(), newKey()] as const;
const document = formatKeyHistory(one.verifierKey, [step(one, two, 10), step(two, three, 20)]);
const history = parseKeyHistory(document);
const trusting = (keys: readonly string[], ...histories: string[]) => ({ keys, histories });

describe('the history of a log’s keys', () => {
  it('says which key signs for which sizes', () => {
    expect(history).toEqual([
      { verifierKey: one.verifierKey, after: -1, upTo: 10, lastRoot: new Uint8Array(32).fill(10) },
      { verifierKey: two.verifierKey, after: 10, upTo: 20, lastRoot: new Uint8Array(32).fill(20) },
      { verifierKey: three.verifierKey, after: 20, upTo: Infinity },
    ]);
  });

  it('lets whoever trusts any of the keys verify everything the log signed, old and new', () => {
    for (const { verifierKey } of [one, two, three])
      for (const [size, signer] of [
        [3, one],
        [10, one],
        [11, two],
        [20, two],
        [21, three],
      ] as const) {
        const note = checkpoint(size, signer);
        const keys = knownKeys(trusting([verifierKey]), note, { offered: document });
        expect(openWith(note, keys).size).toBe(size);
        expect(openCheckpointOf(note, history).key.verifierKey).toBe(signer.verifierKey);
      }
  });

  it('has a key sign for no other log of the size at which it was replaced', () => {
    const other = sign(formatCheckpoint({ ...last(10), root: Buffer.alloc(32, 99) }), [one]);
    expect(() => openCheckpointOf(other, history)).toThrow('shown in two versions');
    const keys = knownKeys(trusting([two.verifierKey], document), other);
    expect(() => openWith(other, keys)).toThrow('shown in two versions');
  });

  it('is refused beside one that has another root for one size, although both keys signed it', () => {
    const text = formatKeyStep({
      last: { ...last(10), root: Buffer.alloc(32, 99) },
      oldKey: one.verifierKey,
      newKey: two.verifierKey,
      at: 0,
    });
    const offered = formatKeyHistory(one.verifierKey, [sign(text, [one, two])]);
    expect(() =>
      knownKeys(trusting([two.verifierKey], document), checkpoint(15, two), { offered }),
    ).toThrow('do not agree');
  });

  it('is of no use to whoever trusts a key that was never the log’s', () => {
    const note = checkpoint(21, three);
    for (const keys of [
      [stranger.verifierKey],
      [one.verifierKey, stranger.verifierKey],
      [stranger.verifierKey, three.verifierKey],
    ])
      expect(() => knownKeys(trusting(keys), note, { offered: document })).toThrow(
        'never a key of this log',
      );
    expect(() => openCheckpointOf(checkpoint(21, stranger), history)).toThrow('but not by');
  });

  it('is refused where a replaced key wrote another end to it than the caller has', () => {
    const forged = formatKeyHistory(one.verifierKey, [step(one, stranger, 10)]);
    const note = checkpoint(21, stranger);
    const both = [one.verifierKey, three.verifierKey];
    expect(() => knownKeys(trusting(both), note, { offered: forged })).toThrow(
      'never a key of this log',
    );
    expect(() =>
      knownKeys(trusting([one.verifierKey], document), note, { offered: forged }),
    ).toThrow('do not agree');
    // An earlier state of the same history does agree, and what is known of it is not forgotten.
    const earlier = formatKeyHistory(one.verifierKey, [step(one, two, 10)]);
    const keys = knownKeys(trusting([one.verifierKey], document), checkpoint(21, two), {
      offered: earlier,
    });
    expect(() => openWith(checkpoint(21, two), keys)).toThrow('did not sign for the log');
  });

  it('is needed where several keys of one log are given: a replaced one could sign anything', () => {
    const note = checkpoint(21, one);
    const both = [one.verifierKey, two.verifierKey];
    expect(() => knownKeys(trusting(both), note)).toThrow('there is no history');
    const keys = knownKeys(trusting(both, document), note);
    expect(() => openWith(note, keys)).toThrow('did not sign for the log');
    // Keys of other logs do not matter.
    const other = newKey('log.example/b').verifierKey;
    expect(openWith(note, knownKeys(trusting([one.verifierKey, other]), note)).size).toBe(21);
  });

  it('has a key that was replaced sign for nothing that came after: one that leaked is worth nothing', () => {
    expect(() => openCheckpointOf(checkpoint(21, one), history)).toThrow(
      'did not sign for the log',
    );
    expect(() => openCheckpointOf(checkpoint(5, three), history)).toThrow(
      'did not sign for the log',
    );
    expect(openCheckpointOf(checkpoint(15, two, one), history).key.verifierKey).toBe(
      two.verifierKey,
    );
    // Whoever knows the old key alone goes on, as long as it signs as well.
    expect(openCheckpoint(checkpoint(15, two, one), one.verifierKey).size).toBe(15);
  });

  it.each([
    ['a step that the old key did not sign', [step(one, two, 10, [two])]],
    ['a step that the new key did not sign', [step(one, two, 10, [one])]],
    ['a step that somebody else signed', [step(one, two, 10, [stranger])]],
    ['a step from another key', [step(two, three, 20)]],
    ['a step back in size', [step(one, two, 10), step(two, three, 10)]],
    ['a key that comes again', [step(one, two, 10), step(two, one, 20)]],
    ['a step whose size was changed', [step(one, two, 10).replace('\n10\n', '\n11\n')]],
    ['a checkpoint in place of a step', [checkpoint(10, one, two)]],
    ['no note', ['x']],
  ])('is refused with %s', (_name, steps) => {
    expect(() => parseKeyHistory(formatKeyHistory(one.verifierKey, steps))).toThrow(
      KeyHistoryError,
    );
  });

  it('is refused where it is no document of that form', () => {
    for (const wrong of ['', '[]', '{}', formatKeyHistory('nonsense', [])])
      expect(() => parseKeyHistory(wrong)).toThrow(KeyHistoryError);
  });

  it('is not taken for a checkpoint', () => {
    expect(() => openCheckpointOf(step(one, two, 10), history)).toThrow('three lines');
  });
});
