import { generateKeyPairSync } from 'node:crypto';
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { openCheckpoint } from '../../src/core/audit/checkpoint.ts';
import { createLogKey, loadLogKey } from '../../src/audit/log-key.ts';
import { KeyFileError } from '../../src/lib/key-file.ts';

const ORIGIN = 'audit.lab.example/sallyport';
const folder = mkdtempSync(join(tmpdir(), 'sallyport-log-key-'));
afterAll(() => rmSync(folder, { recursive: true }));
let made = 0;
const newPath = () => join(folder, `key-${(made += 1)}.pem`);

describe('the log’s key', () => {
  it('is made in a file for its owner only, and signs the same checkpoints when it is loaded again', () => {
    const path = newPath();
    const umask = process.umask(0);
    const created = createLogKey(path, ORIGIN);
    process.umask(umask);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const loaded = loadLogKey(path, ORIGIN);
    expect(loaded.verifierKey).toBe(created.verifierKey);
    const root = Buffer.alloc(32, 1);
    const note = loaded.signCheckpoint(7, root, 0);
    expect(note).toBe(created.signCheckpoint(7, root, 0));
    expect(openCheckpoint(note, created.verifierKey)).toEqual({ origin: ORIGIN, size: 7, root });
  });

  it('is never overwritten', () => {
    const path = newPath();
    createLogKey(path, ORIGIN);
    const before = readFileSync(path);
    expect(() => createLogKey(path, ORIGIN)).toThrow(KeyFileError);
    expect(readFileSync(path)).toEqual(before);
  });

  it.each([0o640, 0o604, 0o620, 0o601, 0o666])(
    'is not loaded when others may use the file (mode %o), and the error says what to do',
    (mode) => {
      const path = newPath();
      createLogKey(path, ORIGIN);
      chmodSync(path, mode);
      expect(() => loadLogKey(path, ORIGIN)).toThrow(`chmod 600 ${path}`);
      chmodSync(path, 0o600);
      expect(loadLogKey(path, ORIGIN).origin).toBe(ORIGIN);
    },
  );

  it('may be read-only', () => {
    const path = newPath();
    createLogKey(path, ORIGIN);
    chmodSync(path, 0o400);
    expect(loadLogKey(path, ORIGIN).origin).toBe(ORIGIN);
  });

  it('is refused when it is missing, not a file, not a key or of another kind, without being quoted', () => {
    expect(() => loadLogKey(newPath(), ORIGIN)).toThrow('no such file');
    expect(() => loadLogKey(folder, ORIGIN)).toThrow(KeyFileError);
    const path = newPath();
    writeFileSync(path, 'CANARY', { mode: 0o600 });
    expect(() => loadLogKey(path, ORIGIN)).toThrow('not a private key');
    expect(() => loadLogKey(path, ORIGIN)).not.toThrow('CANARY');
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    writeFileSync(path, privateKey.export({ type: 'pkcs8', format: 'pem' }));
    expect(() => loadLogKey(path, ORIGIN)).toThrow('not an Ed25519 key');
    expect(() => createLogKey(join(folder, 'nowhere', 'key.pem'), ORIGIN)).toThrow(KeyFileError);
  });

  it('needs a name that a key can have', () => {
    for (const origin of ['', 'a b', 'a+b', 'a\nb']) {
      expect(() => createLogKey(newPath(), origin)).toThrow(KeyFileError);
      expect(() => loadLogKey(newPath(), origin)).toThrow(KeyFileError);
    }
  });

  it('that is replaced without overlap ends those that were replaced before it, too', () => {
    const key = createLogKey(newPath(), ORIGIN);
    const first = key.verifierKey;
    key.makeNext().takeOver(1_000_000);
    const second = key.verifierKey;
    key.makeNext().takeOver(10);
    const note = key.signCheckpoint(0, Buffer.alloc(32), 10);
    for (const old of [first, second]) expect(() => openCheckpoint(note, old)).toThrow('not by');
    expect(openCheckpoint(note, key.verifierKey).size).toBe(0);
  });

  it('does not show its private half', () => {
    const key = createLogKey(newPath(), ORIGIN);
    expect(Object.keys(key).sort()).toEqual([
      'makeNext',
      'origin',
      'signCheckpoint',
      'verifierKey',
    ]);
  });
});
