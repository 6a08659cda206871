import { createHmac, randomBytes } from 'node:crypto';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DpopNonces } from '../../src/oauth/dpop-nonces.ts';

const STEP = 300_000;
const START = 5_966_666 * STEP;
const secret = randomBytes(32);
const nonces = new DpopNonces(secret);

describe('a nonce', () => {
  test('is the number of the step and the start of its HMAC', () => {
    const number = Buffer.alloc(8);
    number.writeUInt32BE(5_966_666, 4);
    const mac = createHmac('sha256', secret).update(number).digest().subarray(0, 16);
    expect(nonces.current(START)).toBe(Buffer.concat([number, mac]).toString('base64url'));
  });

  test('fits a header and a proof, and stays the same for a step', () => {
    const nonce = nonces.current(START);
    expect(nonce).toMatch(/^[\w-]{32}$/);
    expect(nonces.current(START + STEP - 1)).toBe(nonce);
    expect(nonces.current(START + STEP)).not.toBe(nonce);
  });

  test.each([
    ['before its step', -1, false],
    ['at its first moment', 0, true],
    ['in its step', STEP - 1, true],
    ['in the step after it', STEP, true],
    ['at the last moment of that', 2 * STEP - 1, true],
    ['after that', 2 * STEP, false],
  ])('%s: %s', (_when, after, good) => {
    expect(nonces.isCurrent(nonces.current(START), START + after)).toBe(good);
  });

  test('is good exactly in its step and the next, in whatever order it is asked', () => {
    const moment = fc.integer({ min: 0, max: 10 * STEP });
    fc.assert(
      fc.property(moment, moment, (made, asked) => {
        const steps = Math.floor(asked / STEP) - Math.floor(made / STEP);
        expect(nonces.isCurrent(nonces.current(made), asked)).toBe(steps === 0 || steps === 1);
      }),
    );
  });

  test('is good for another holder of the secret, and for nobody else', () => {
    const nonce = nonces.current(START);
    expect(new DpopNonces(secret).isCurrent(nonce, START)).toBe(true);
    expect(new DpopNonces(randomBytes(32)).isCurrent(nonce, START)).toBe(false);
  });

  test('is not good once anything in it is changed', () => {
    const nonce = nonces.current(START);
    for (let i = 0; i < nonce.length; i += 1) {
      const changed = nonce.slice(0, i) + (nonce[i] === 'A' ? 'B' : 'A') + nonce.slice(i + 1);
      expect(nonces.isCurrent(changed, START)).toBe(false);
    }
  });

  test.each(['', 'A', 'A'.repeat(32), 'é'.repeat(16), 'é'.repeat(32), 'A'.repeat(10_000)])(
    'is none: %s',
    (text) => {
      expect(nonces.isCurrent(text, START)).toBe(false);
    },
  );

  test.each(['=', ' ', '\0', 'A'])('is not good with %j after it', (more) => {
    expect(nonces.isCurrent(nonces.current(START) + more, START)).toBe(false);
  });
});

test('a secret that could be guessed is none', () => {
  expect(() => new DpopNonces(randomBytes(31))).toThrow(RangeError);
});
