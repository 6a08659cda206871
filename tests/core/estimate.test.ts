import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { priceNanoUsd } from '../../src/core/endpoints.ts';
import { likelyTokens, mostInputTokens } from '../../src/core/estimate.ts';

const size = fc.record({
  bytes: fc.nat(10_000_000),
  messages: fc.nat(10_000),
  tools: fc.boolean(),
  mediaParts: fc.nat(100),
});

test('no tokeniser of bytes makes more tokens than are reserved', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), size, (text, rest) => {
      const bytes = Buffer.byteLength(text);
      // The worst there is: a token for every byte.
      const most = mostInputTokens(rest, bytes);
      expect(most).toBeGreaterThanOrEqual(bytes);
    }),
  );
});

test('what adds to a prompt adds to the reservation', () => {
  fc.assert(
    fc.property(size, ({ bytes, ...one }) => {
      const most = mostInputTokens(one, bytes);
      expect(mostInputTokens({ ...one, messages: one.messages + 1 }, bytes)).toBeGreaterThan(most);
      expect(mostInputTokens({ ...one, mediaParts: one.mediaParts + 1 }, bytes)).toBeGreaterThan(
        most,
      );
      expect(mostInputTokens({ ...one, tools: true }, bytes)).toBeGreaterThan(
        mostInputTokens({ ...one, tools: false }, bytes),
      );
    }),
  );
});

test('the likely number is whole, at least one for any text, and within the upper bound', () => {
  expect(likelyTokens(0)).toBe(0);
  expect(likelyTokens(1)).toBe(1);
  fc.assert(
    fc.property(fc.nat(10_000_000), (bytes) => {
      expect(Number.isInteger(likelyTokens(bytes))).toBe(true);
      expect(likelyTokens(bytes)).toBeLessThanOrEqual(
        mostInputTokens({ messages: 0, tools: false, mediaParts: 0 }, bytes),
      );
    }),
  );
});

test('a price is whole billionths, never too little, and never less for more tokens', () => {
  const prices = { inputUsdPerMillion: 3, outputUsdPerMillion: 15 };
  expect(priceNanoUsd({ prices }, 1_000_000, 0)).toBe(3e9);
  expect(priceNanoUsd({ prices }, 1, 1)).toBe(18_000);
  const price = fc.double({ min: 0, max: 100_000, noNaN: true });
  fc.assert(
    fc.property(
      price,
      price,
      fc.nat(1e6),
      fc.nat(1e6),
      fc.nat(1e6),
      (input, output, i, o, more) => {
        const endpoint = { prices: { inputUsdPerMillion: input, outputUsdPerMillion: output } };
        const cost = priceNanoUsd(endpoint, i, o);
        expect(Number.isSafeInteger(cost)).toBe(true);
        expect(priceNanoUsd(endpoint, i + more, o)).toBeGreaterThanOrEqual(cost);
        expect(priceNanoUsd(endpoint, i, o + more)).toBeGreaterThanOrEqual(cost);
      },
    ),
  );
});
