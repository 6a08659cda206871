import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeBech32, encodeBech32 } from '../../src/core/transcripts/bech32.ts';
import {
  publicKeyOf,
  recipientId,
  recipientOf,
  recipientsSchema,
} from '../../src/core/transcripts/recipients.ts';

/** Of the specification, c2sp.org/age. */
const KNOWN = 'age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj';

const ZEROS = Buffer.alloc(32);

function problem(recipient: string): string | undefined {
  const { error } = recipientsSchema.safeParse([{ recipient, holder: 'An auditor' }]);
  return error?.issues.map(({ message }) => message).join('; ');
}

describe('a recipient', () => {
  test('of the specification is taken', () => {
    expect(problem(KNOWN)).toBeUndefined();
    expect(recipientOf(publicKeyOf(KNOWN))).toBe(KNOWN);
    expect(recipientId(KNOWN)).toMatch(/^[0-9a-f]{16}$/);
  });

  test.each([
    ['is empty', '', /not an age recipient/],
    ['has a mistyped character', KNOWN.replace('zvky', 'zvkz'), /a character is wrong or missing/],
    ['lacks its last character', KNOWN.slice(0, -1), /a character is wrong or missing/],
    ['is in upper case', KNOWN.toUpperCase(), /lower case/],
    ['is in both cases', KNOWN.replace('zvk', 'ZVK'), /a character is wrong or missing/],
    ['is of another type', encodeBech32('age1tag', Buffer.alloc(33, 2)), /of another type/],
    ['has another length', encodeBech32('age', Buffer.alloc(31, 2)), /of another type/],
    ['is an SSH key', 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI', /SSH key/],
    ['is a point of small order', encodeBech32('age', ZEROS), /small order/],
    ['is one, too', encodeBech32('age', Buffer.from(ZEROS).fill(1, 0, 1)), /small order/],
    [
      'is one with its highest bit set',
      encodeBech32('age', Buffer.from(ZEROS).fill(128, 31)),
      /small order/,
    ],
  ])('that %s is refused, with what to do', (_what, text, message) => {
    expect(problem(text)).toMatch(message);
  });

  test('that is a secret is refused, and not repeated', () => {
    const secret = encodeBech32('age-secret-key-', Buffer.alloc(32, 7)).toUpperCase();
    expect(problem(secret)).toMatch(/is a secret key/);
    expect(problem(secret)).not.toContain(secret.slice(16, 30));
  });
});

test('a list of recipients names each once, and from one to eight', () => {
  const one = { recipient: KNOWN, holder: 'An auditor' };
  const others = Array.from({ length: 9 }, (_, i) => ({
    recipient: recipientOf(Buffer.alloc(32, i + 2)),
    holder: `Holder ${i}`,
  }));
  const fits = (list: unknown[]): boolean => recipientsSchema.safeParse(list).success;
  expect(fits([])).toBe(false);
  expect(fits([one, one])).toBe(false);
  expect(fits(others)).toBe(false);
  expect(fits(others.slice(1))).toBe(true);
  expect(fits([{ ...one, holder: ' ' }])).toBe(false);
});

test('Bech32 comes back as it went, and any wrong character is found', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 1, maxLength: 60 }),
      fc.nat(),
      fc.nat({ max: 31 }),
      (bytes, where, other) => {
        const text = encodeBech32('age', bytes);
        expect(decodeBech32(text)).toEqual({ prefix: 'age', bytes });
        const at = 4 + (where % (text.length - 4));
        const char = 'qpzry9x8gf2tvdw0s3jn54khce6mua7l'[other] as string;
        fc.pre(char !== text[at]);
        expect(decodeBech32(text.slice(0, at) + char + text.slice(at + 1))).toBeUndefined();
      },
    ),
  );
});
