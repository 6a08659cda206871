import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isInNetworks, networkSchema } from '../../src/core/networks.ts';

describe('an address', () => {
  test.each([
    ['192.0.2.7', '192.0.2.0/24', true],
    ['192.0.3.7', '192.0.2.0/24', false],
    ['192.0.2.7', '192.0.2.7/32', true],
    ['192.0.2.8', '192.0.2.7/32', false],
    ['203.0.113.1', '0.0.0.0/0', true],
    ['2001:db8::1', '2001:db8::/48', true],
    ['2001:db8:1::1', '2001:db8::/48', false],
    // The socket of a server that listens on both families says it so.
    ['::ffff:192.0.2.7', '192.0.2.0/24', true],
    ['::ffff:c000:207', '192.0.2.0/24', true],
    ['::ffff:192.0.3.7', '192.0.2.0/24', false],
    // Everything of one family is nothing of the other.
    ['192.0.2.7', '::/0', false],
    ['::ffff:192.0.2.7', '::/0', false],
    ['2001:db8::1', '0.0.0.0/0', false],
  ])('%s in %s: %s', (address, network, expected) => {
    expect(isInNetworks(address, [network])).toBe(expected);
  });

  test.each([
    '',
    'localhost',
    '192.0.2',
    '192.0.2.7.1',
    '192.0.2.256',
    '192.0.2.7:443',
    '192.0.2.7/32',
    ' 192.0.2.7',
    '::g',
    'unknown',
    // What C libraries read as addresses of four parts, and people do not.
    '1',
    '0300.0.2.7',
    '0xc0000207',
    '3221225991',
    '192.519',
  ])('%j is in no network at all', (address) => {
    expect(isInNetworks(address, ['0.0.0.0/0', '::/0'])).toBe(false);
  });

  test('is in none of no networks', () => {
    expect(isInNetworks('192.0.2.7', [])).toBe(false);
  });

  test('lies in a range exactly when its first bits are those of the range', () => {
    const bits = ([a = 0, b = 0, c = 0, d = 0]: number[]): number =>
      ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
    const octets = fc.array(fc.nat(255), { minLength: 4, maxLength: 4 });
    fc.assert(
      fc.property(octets, octets, fc.integer({ min: 0, max: 32 }), (one, other, length) => {
        // Shifted by 32, a number is itself.
        const first = (address: number[]): number =>
          length === 0 ? 0 : bits(address) >>> (32 - length);
        const near = one.map((part, i) => (i < 2 ? part : (other[i] as number)));
        for (const address of [other, near, one])
          expect(isInNetworks(address.join('.'), [`${one.join('.')}/${length}`])).toBe(
            first(address) === first(one),
          );
      }),
    );
  });

  test('reads no text without an answer', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.ipV4Extended(), fc.ipV6()), (text) => {
        expect(typeof isInNetworks(text, ['192.0.2.0/24', '2001:db8::/32'])).toBe('boolean');
      }),
    );
  });
});

describe('a range in a grant', () => {
  test.each(['192.0.2.0/24', '192.0.2.7/32', '0.0.0.0/0', '2001:db8::/48', '::/0'])(
    '%s is one',
    (text) => expect(networkSchema.safeParse(text).success).toBe(true),
  );

  test.each([
    '192.0.2.0',
    '192.0.2.0/33',
    '2001:db8::/129',
    '192.0.2.0/-1',
    '192.0.2.0/24/24',
    'all',
    '',
    // Read as 0.0.0.10/8, as 8.0.0.0/8: not what was meant.
    '10/8',
    '10.1/16',
    '010.0.0.0/8',
    '0x0a.0.0.0/8',
    // IPv4 in IPv6 clothing would match nothing.
    '::ffff:192.0.2.0/120',
  ])('%j is not one', (text) => expect(networkSchema.safeParse(text).success).toBe(false));

  test('whatever the schema takes can be matched against', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc
            .tuple(fc.oneof(fc.ipV4(), fc.ipV6(), fc.ipV4Extended()), fc.nat(130))
            .map((parts) => parts.join('/')),
          fc.string(),
        ),
        (text) => {
          if (!networkSchema.safeParse(text).success) return;
          expect(typeof isInNetworks('192.0.2.7', [text])).toBe('boolean');
          expect(isInNetworks(text.slice(0, text.indexOf('/')), [text])).toBe(true);
        },
      ),
    );
  });
});
