import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import * as fc from 'fast-check';
import {
  ed25519Signer,
  formatVerifierKey,
  isKeyName,
  keyIdOf,
  parseVerifierKey,
  rawPublicKey,
} from '../../../src/core/audit/note-keys.ts';
import {
  NoteError,
  formatNote,
  openNote,
  parseNote,
  signNote,
} from '../../../src/core/audit/note.ts';

/** The example of golang.org/x/mod/sumdb/note. */
const NEUMANN_KEY = 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW';
const NEUMANN_TEXT =
  "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
const NEUMANN_NOTE = `${NEUMANN_TEXT}\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n`;

/** RFC 8032, section 7.1, test 1: the 32-byte secret in a PKCS #8 wrapper. */
const FIXED_KEY = createPrivateKey({
  key: Buffer.from(
    '302e020100300506032b6570042204209d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60',
    'hex',
  ),
  format: 'der',
  type: 'pkcs8',
});

function newKey(name: string) {
  const privateKey: KeyObject = generateKeyPairSync('ed25519').privateKey;
  const signer = ed25519Signer(name, privateKey);
  const verifierKey = formatVerifierKey(name, rawPublicKey(privateKey));
  return { signer, verifierKey, verifier: parseVerifierKey(verifierKey) };
}

const log = newKey('log.example/a');
const witness = newKey('witness.example');

function problemOf(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (error instanceof NoteError) return error.problem;
    throw error;
  }
  return 'none';
}

describe('a signed note', () => {
  it('by another implementation opens', () => {
    const opened = openNote(NEUMANN_NOTE, [parseVerifierKey(NEUMANN_KEY)]);
    expect(opened.text).toBe(NEUMANN_TEXT);
    expect(opened.verified.map(({ name }) => name)).toEqual(['PeterNeumann']);
  });

  it('has the exact bytes of the specification', () => {
    const signer = ed25519Signer('a.example', FIXED_KEY);
    const note = signNote('hello\n', [signer]);
    const id = Buffer.alloc(4);
    id.writeUInt32BE(signer.keyId);
    const line = Buffer.concat([id, signer.sign(Buffer.from('hello\n'))]).toString('base64');
    expect(note).toBe(`hello\n\n— a.example ${line}\n`);
    expect(Buffer.from(note).includes(Buffer.from('e28094', 'hex'))).toBe(true);
  });

  it('opens with any text that a note may have, blank lines included', () => {
    const text = fc
      .string({ unit: 'binary' })
      .map((s) => `${s.replaceAll(/\p{Control}/gu, '\n')}\n`);
    fc.assert(
      fc.property(text, (body) => {
        const note = signNote(body, [log.signer]);
        expect(openNote(note, [log.verifier]).text).toBe(body);
        expect(openNote(Buffer.from(note), [log.verifier]).text).toBe(body);
      }),
    );
  });

  it('splits at its last blank line', () => {
    const body = 'one\n\n— not a signature\n\ntwo\n';
    expect(parseNote(signNote(body, [log.signer])).text).toBe(body);
  });

  it('ignores signatures by keys it does not know, and needs one that it does', () => {
    const note = signNote('text\n', [witness.signer, log.signer]);
    const opened = openNote(note, [log.verifier]);
    expect(opened.verified.map(({ name }) => name)).toEqual(['log.example/a']);
    expect(opened.unknown.map(({ name }) => name)).toEqual(['witness.example']);
    const stranger = newKey('log.example/a');
    expect(problemOf(() => openNote(note, [stranger.verifier]))).toBe('unknown_key');
    expect(problemOf(() => openNote(note, []))).toBe('unknown_key');
  });

  it('is invalid when a known key’s signature is wrong, even if another one is good', () => {
    const other = parseNote(signNote('other\n', [log.signer])).signatures;
    const good = parseNote(signNote('text\n', [witness.signer])).signatures;
    const mixed = formatNote('text\n', [...good, ...other]);
    expect(openNote(mixed, [witness.verifier]).verified).toHaveLength(1);
    const both = [witness.verifier, log.verifier];
    expect(problemOf(() => openNote(mixed, both))).toBe('bad_signature');
    // Also when the same key signed rightly on another line.
    const twice = formatNote('text\n', [
      ...parseNote(signNote('text\n', [log.signer])).signatures,
      ...other,
    ]);
    expect(problemOf(() => openNote(twice, [log.verifier]))).toBe('bad_signature');
  });

  it('may carry sixteen signatures and more, but not without bound', () => {
    const witnesses = Array.from({ length: 40 }, (_, i) => newKey(`w${i}.example`));
    const signers = [log.signer, ...witnesses.map(({ signer }) => signer)];
    const keys = [log, ...witnesses].map(({ verifier }) => verifier);
    expect(openNote(signNote('text\n', signers), keys).verified).toHaveLength(41);
    const many = Array.from({ length: 101 }, () => log.signer);
    expect(problemOf(() => openNote(signNote('text\n', many), [log.verifier]))).toBe('malformed');
  });

  it('does not open when a bit of it is flipped', () => {
    const note = Buffer.from(signNote('log.example/a\n5\nroot\n', [log.signer]));
    for (let at = 0; at < note.length; at += 1) {
      const changed = Buffer.from(note);
      changed.writeUInt8(changed.readUInt8(at) ^ 1, at);
      expect(() => openNote(changed, [log.verifier]), `byte ${at}`).toThrow(NoteError);
    }
  });

  const good = signNote('text\n', [log.signer]);
  it.each([
    ['nothing', ''],
    ['no final newline', good.slice(0, -1)],
    ['no signature', 'text\n\n'],
    ['no blank line', good.replace('\n\n', '\n')],
    ['text without newline', good.replace('text\n\n', 'text\n')],
    ['a tab', good.replace('text', 'te\txt')],
    ['a carriage return', good.replaceAll('\n', '\r\n')],
    ['a NUL', good.replace('text', 'te\0xt')],
    ['half a surrogate pair', good.replace('text', 'te\ud800xt')],
    ['a hyphen for the dash', good.replace('—', '-')],
    ['no name', good.replace('log.example/a ', ' ')],
    ['a plus in the name', good.replace('log.example/a', 'log+a')],
    ['a third field', good.replace(/=*\n$/, ' x\n')],
    ['loose base64', good.replace(/\n$/, '*\n')],
    ['base64 of the URL alphabet', 'text\n\n— log.example/a -_-_-_-_\n'],
    ['a key id alone', 'text\n\n— log.example/a AAAAAA==\n'],
    ['text after the signature', `${good}more\n`],
  ])('is refused with %s', (_, note) => {
    expect(note).not.toBe(good);
    expect(problemOf(() => parseNote(note))).toBe('malformed');
  });

  it('is refused when its bytes are not UTF-8', () => {
    const bytes = Buffer.from(good);
    bytes.writeUInt8(0xff, 1);
    expect(problemOf(() => parseNote(bytes))).toBe('malformed');
  });

  it('is not signed over what could not be read back', () => {
    expect(problemOf(() => signNote('no newline', [log.signer]))).toBe('malformed');
    expect(problemOf(() => signNote('bell\u0007\n', [log.signer]))).toBe('malformed');
    expect(problemOf(() => signNote('text\n', []))).toBe('malformed');
  });
});

describe('a verifier key', () => {
  it('is read and written as published elsewhere', () => {
    const key = parseVerifierKey(NEUMANN_KEY);
    expect(key.name).toBe('PeterNeumann');
    expect(key.keyId).toBe(0xc74f20a3);
    const raw = Buffer.from(NEUMANN_KEY.split('+').slice(2).join('+'), 'base64').subarray(1);
    expect(formatVerifierKey('PeterNeumann', raw)).toBe(NEUMANN_KEY);
    expect(keyIdOf('PeterNeumann', 1, raw)).toBe(0xc74f20a3);
  });

  it('belongs to its private key (RFC 8032, test 1)', () => {
    expect(rawPublicKey(FIXED_KEY).toString('hex')).toBe(
      'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a',
    );
  });

  it('may hold plus signs in its base64', () => {
    const raw = Buffer.alloc(32, 0xfb);
    const text = formatVerifierKey('a.example', raw);
    expect(text.split('+').length).toBeGreaterThan(3);
    expect(parseVerifierKey(text).verifierKey).toBe(text);
  });

  it.each([
    ['nothing', ''],
    ['a name only', 'PeterNeumann'],
    ['another key id', NEUMANN_KEY.replace('c74f20a3', 'c74f20a4')],
    ['another name', NEUMANN_KEY.replace('Peter', 'Piter')],
    ['a short key id', NEUMANN_KEY.replace('c74f20a3', 'c74f20a')],
    ['a capital key id', NEUMANN_KEY.replace('c74f20a3', 'C74F20A3')],
    ['a truncated key', NEUMANN_KEY.slice(0, -4)],
    ['a trailing newline', `${NEUMANN_KEY}\n`],
    ['a space in the name', NEUMANN_KEY.replace('rN', 'r N')],
    ['the cosignature type', NEUMANN_KEY.replace('+AR', '+BB')],
    ['loose base64', `${NEUMANN_KEY}=`],
  ])('is refused with %s', (_, text) => {
    expect(() => parseVerifierKey(text)).toThrow(RangeError);
  });

  it('has a name without spaces, plus signs and control characters', () => {
    expect(['log.example/x', 'å', 'a-b_c'].every(isKeyName)).toBe(true);
    expect(
      ['', 'a b', 'a+b', 'a\nb', 'a\u0007', 'a\u0085b', 'a\u00a0b', '\ud800'].some(isKeyName),
    ).toBe(false);
    expect(() => formatVerifierKey('a b', Buffer.alloc(32))).toThrow(RangeError);
    expect(() => formatVerifierKey('ab', Buffer.alloc(31))).toThrow(RangeError);
  });
});
