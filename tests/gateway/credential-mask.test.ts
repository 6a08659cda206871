/** The host's credential in an answer that is kept: overwritten, wherever reads cut it. */
import * as fc from 'fast-check';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { Credential } from '../../src/gateway/credentials.ts';

const SECRET = 'sk-host-sk-host-credential';

let credential: Credential;

beforeEach(() => {
  vi.stubEnv('MASKED', SECRET);
  credential = new Credential('env:MASKED', pino({ level: 'silent' }));
});
afterEach(() => {
  credential.close();
  vi.unstubAllEnvs();
});

/** What comes out for these reads. */
function masked(reads: readonly string[], isError = false): { text: string; hasMasked: boolean } {
  const mask = credential.mask({ isError });
  const out = reads.map((read) => mask.push(Buffer.from(read, 'latin1')));
  out.push(mask.end());
  return { text: Buffer.concat(out).toString('latin1'), hasMasked: mask.hasMasked };
}

/** Cuts a text at every one of these places. */
function cut(text: string, at: readonly number[]): string[] {
  const places = [...new Set(at.map((place) => place % (text.length + 1)))].toSorted(
    (one, other) => one - other,
  );
  return [0, ...places].map((from, i) => text.slice(from, places[i]));
}

/** As JSON may write it: each character in one of its forms. */
const written = fc
  .array(fc.nat({ max: 3 }), { minLength: SECRET.length, maxLength: SECRET.length })
  .map((forms) =>
    Array.from(SECRET, (character, i) => {
      const code = character.charCodeAt(0).toString(16);
      const all = [
        character,
        `\\${character}`,
        `\\u00${code}`,
        `\\u00${code.toUpperCase()}`,
      ] as const;
      return all[forms[i] as 0 | 1 | 2 | 3];
    }).join(''),
  );

/** What stands around it: pieces of it as well, and what looks like its beginning. */
const around = fc
  .array(fc.constantFrom('a', 's', '\\', 'sk-', 'sk-host-', '\\u00', '\n\n', ' ', 'é'), {
    maxLength: 6,
  })
  .map((parts) => parts.join(''));

it('is overwritten in whatever form and however it is cut, and nothing else is', () => {
  fc.assert(
    fc.property(
      around,
      written,
      around,
      fc.array(fc.nat(), { maxLength: 8 }),
      (before, secret, after, at) => {
        const whole = `${before}|${secret}|${after}|`;
        const { text, hasMasked } = masked(cut(whole, at));
        expect(text).toBe(`${before}|${'*'.repeat(secret.length)}|${after}|`);
        expect(hasMasked).toBe(true);
      },
    ),
    { numRuns: 500 },
  );
});

it('what only begins like it passes as it came', () => {
  fc.assert(
    fc.property(around, fc.array(fc.nat(), { maxLength: 8 }), (text, at) => {
      const whole = `${text}|`;
      expect(masked(cut(whole, at))).toEqual({ text: whole, hasMasked: false });
    }),
  );
});

it('most of it is not left behind where an answer ends inside of it', () => {
  expect(masked(['key sk-host-s', 'k-host-cred'])).toEqual({
    text: `key ${'*'.repeat('sk-host-sk-host-cred'.length)}`,
    hasMasked: true,
  });
  expect(masked(['it ends with s'])).toEqual({ text: 'it ends with s', hasMasked: false });
});

it('what may begin it is held back, and nothing more', () => {
  const mask = credential.mask({ isError: false });
  expect(mask.push(Buffer.from('key sk-host')).toString()).toBe('key ');
  expect(mask.push(Buffer.from('ed by us')).toString()).toBe('sk-hosted by u');
  expect(mask.push(Buffer.from('.')).toString()).toBe('s.');
});

it('a short secret is overwritten in errors alone', () => {
  vi.stubEnv('MASKED', 'EMPTY');
  credential = new Credential('env:MASKED', pino({ level: 'silent' }));
  expect(masked(['the list is EM', 'PTY.'], true).text).toBe('the list is *****.');
  expect(masked(['the list is EM', 'PTY.']).text).toBe('the list is EMPTY.');
  expect(credential.mask({ isError: false }).isComplete).toBe(false);
  expect(credential.mask({ isError: true }).isComplete).toBe(true);
});
