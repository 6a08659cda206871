import { createHmac } from 'node:crypto';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Commitment, commitmentTo, newSalt } from '../../src/gateway/commitment.ts';

const hmac = (salt: Uint8Array, body: Uint8Array): string =>
  createHmac('sha256', salt).update(body).digest('base64');

describe('a commitment', () => {
  test.each([0, 1, 55, 56, 63, 64, 65, 16_383, 16_384, 16_385, 100_000])(
    'to %d bytes is their HMAC-SHA-256 under the salt',
    (length) => {
      const salt = newSalt();
      const body = Buffer.alloc(length, 'sally');
      expect(commitmentTo(body, salt)).toBe(hmac(salt, body));
    },
  );

  test('to parts is the same, wherever they are cut', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 300 }), { minLength: 1 }), (parts) => {
        const salt = newSalt();
        const commitment = new Commitment(salt);
        for (const part of parts) commitment.update(part);
        expect(commitment.digest()).toBe(hmac(salt, Buffer.concat(parts)));
      }),
    );
  });

  test('to nothing is none', () => {
    expect(new Commitment(newSalt()).digest()).toBeUndefined();
  });
});

test('salts are new each time', () => {
  const salts = Array.from({ length: 1_000 }, newSalt);
  expect(new Set(salts.map((salt) => Buffer.from(salt).toString('hex'))).size).toBe(1_000);
  expect(salts.every(({ length }) => length === 16)).toBe(true);
});
