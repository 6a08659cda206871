import { Decrypter, Encrypter, generateIdentity, identityToRecipient } from 'age-encryption';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { AgeFailure } from '../../src/audit/sealing/age-failure.ts';
import {
  newIdentity,
  readIdentities,
  recipientOfIdentity,
} from '../../src/audit/sealing/age-identity.ts';
import { AgeOpener } from '../../src/audit/sealing/age-open.ts';
import { seal } from '../../src/audit/sealing/age-seal.ts';

const CHUNK = 65_536;

const body = (length: number): Buffer => Buffer.alloc(length, 'The quick brown fox. ');

/** Cuts bytes into parts of a size. */
function parts(bytes: Uint8Array, size: number): Uint8Array[] {
  const list: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += size) list.push(bytes.subarray(at, at + size));
  return list;
}

function sealed(plain: Uint8Array, recipients: string[], size = 10_000): Buffer {
  const stream = seal(recipients);
  return Buffer.concat([
    ...parts(plain, size).flatMap((part) => stream.update(part)),
    ...stream.final(),
  ]);
}

function opened(file: Uint8Array, identity: string, size = 7_777): Buffer {
  const opener = new AgeOpener(readIdentities(identity));
  const plain = parts(file, size).flatMap((part) => opener.push(part));
  return Buffer.concat([...plain, opener.end()]);
}

function problemOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (error instanceof AgeFailure) return error.problem;
    throw error;
  }
  return 'none';
}

const LENGTHS = [0, 1, 500, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 17];

const ageInstalled = ((): boolean => {
  try {
    execFileSync('age', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    process.stderr.write(
      'SKIPPED: the "age" program is not installed, so nothing was opened with it. "apt-get install age" installs it.\n',
    );
    return false;
  }
})();

describe('what we seal', () => {
  test.each(LENGTHS)('another implementation opens: %d bytes', async (length) => {
    const identity = await generateIdentity();
    const recipient = await identityToRecipient(identity);
    const decrypter = new Decrypter();
    decrypter.addIdentity(identity);
    const file = sealed(body(length), [newIdentity().recipient, recipient]);
    const plain = await decrypter.decrypt(new Uint8Array(file));
    expect(Buffer.from(plain).equals(body(length))).toBe(true);
  });

  test.skipIf(!ageInstalled).each(LENGTHS)('the age program opens: %d bytes', (length) => {
    const { identity, recipient } = newIdentity();
    const directory = mkdtempSync(join(tmpdir(), 'sallyport-age-'));
    writeFileSync(join(directory, 'key.txt'), `# a comment\n${identity}\n`);
    const plain = execFileSync('age', ['-d', '-i', join(directory, 'key.txt')], {
      input: sealed(body(length), [recipient]),
      maxBuffer: 1 << 24,
    });
    expect(plain.equals(body(length))).toBe(true);
  });

  test('each of its recipients opens, and nobody else', () => {
    const holders = Array.from({ length: 8 }, newIdentity);
    const file = sealed(
      body(100),
      holders.map(({ recipient }) => recipient),
    );
    for (const { identity } of holders) expect(opened(file, identity)).toEqual(body(100));
    expect(problemOf(() => opened(file, newIdentity().identity))).toBe('not_for_this_key');
  });

  test('never twice with the same key: two files of the same text have nothing in common', () => {
    const { recipient } = newIdentity();
    const [one, other] = [sealed(body(100), [recipient]), sealed(body(100), [recipient])];
    const header = 'age-encryption.org/v1\n-> X25519 '.length;
    expect(one.subarray(header, header + 43)).not.toEqual(other.subarray(header, header + 43));
    expect(one.subarray(-116)).not.toEqual(other.subarray(-116));
  });

  test('has the form that the specification says, whatever parts it came in', () => {
    const { identity, recipient } = newIdentity();
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 3 * CHUNK }),
        fc.integer({ min: 1, max: 2 * CHUNK }),
        fc.integer({ min: 100, max: 2 * CHUNK }),
        (length, sealSize, openSize) => {
          const file = sealed(body(length), [recipient], sealSize);
          expect(opened(file, identity, openSize).equals(body(length))).toBe(true);
        },
      ),
      { numRuns: 40 },
    );
  });
});

describe('what others seal', () => {
  test.each(LENGTHS)('we open: %d bytes of another implementation', async (length) => {
    const { identity, recipient } = newIdentity();
    const encrypter = new Encrypter();
    encrypter.addRecipient(recipient);
    const file = await encrypter.encrypt(new Uint8Array(body(length)));
    expect(opened(file, identity).equals(body(length))).toBe(true);
  });

  test.skipIf(!ageInstalled)('we open: of the age program, with a key of age-keygen', () => {
    const key = execFileSync('age-keygen', { stdio: ['ignore', 'pipe', 'ignore'] }).toString();
    const recipient = /age1\S+/.exec(key)?.[0] ?? '';
    const [identity] = readIdentities(key);
    expect(identity && recipientOfIdentity(identity)).toBe(recipient);
    const file = execFileSync('age', ['-r', recipient], { input: body(2 * CHUNK) });
    expect(opened(file, key).equals(body(2 * CHUNK))).toBe(true);
  });
});

describe('a file that', () => {
  const { identity, recipient } = newIdentity();
  const file = sealed(body(2 * CHUNK + 100), [recipient]);
  const headerEnds = file.indexOf('\n---') + 1;

  test('was cut off is not taken for whole, wherever it was cut', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: file.length - 1 }), (length) => {
        expect(['cut', 'not_age']).toContain(
          problemOf(() => opened(file.subarray(0, length), identity)),
        );
      }),
      { numRuns: 60 },
    );
  });

  test('was cut between two chunks is said to have lost its end', () => {
    const chunkEnds = file.length - (100 + 16);
    expect(problemOf(() => opened(file.subarray(0, chunkEnds), identity))).toBe('cut');
  });

  test('has any single bit changed does not open', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: file.length - 1 }),
        fc.integer({ min: 0, max: 7 }),
        (at, bit) => {
          const changed = Buffer.from(file);
          changed[at] = (changed[at] as number) ^ (1 << bit);
          expect(problemOf(() => opened(changed, identity))).not.toBe('none');
        },
      ),
      { numRuns: 200 },
    );
  });

  test('got another stanza does not open: the MAC is over the whole header', () => {
    const other = sealed(body(1), [newIdentity().recipient]).toString('latin1');
    const stanza = other.slice(other.indexOf('->'), other.indexOf('---'));
    const changed = Buffer.concat([
      file.subarray(0, headerEnds),
      Buffer.from(stanza, 'latin1'),
      file.subarray(headerEnds),
    ]);
    expect(problemOf(() => opened(changed, identity))).toBe('changed');
  });

  test.each(['', 'hello', 'age-encryption.org/v2\n-> X25519 a\nb\n--- c\n', 'x'.repeat(70_000)])(
    'is none of age is told apart: %#',
    (text) => {
      expect(['not_age', 'cut']).toContain(problemOf(() => opened(Buffer.from(text), identity)));
    },
  );
});

describe('a file of identities', () => {
  test.each([
    ['nothing but a comment', '# AGE-SECRET-KEY, of whom nobody knows\n'],
    ['a recipient', `${newIdentity().recipient}\n`],
    ['a key that lacks its end', `${newIdentity().identity.slice(0, -1)}\n`],
  ])('with %s is refused, and none of it repeated', (_what, text) => {
    let message = '';
    try {
      readIdentities(text);
    } catch (error) {
      message = String(error);
    }
    expect(message).toMatch(/AGE-SECRET-KEY-1…/);
    expect(message).not.toContain(text.trim().slice(20, 40));
  });
});
