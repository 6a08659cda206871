/** What is dispatched is our own writing of what was read: a body that would not survive that is refused by name. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { JsonObject } from '../../src/core/scope/inspection.ts';
import { hasTooManyParts, mustBeSound } from '../../src/core/scope/sound.ts';
import { nested } from '../support/bodies.ts';

const parsed = (text: string): JsonObject => JSON.parse(text) as JsonObject;

describe('numbers', () => {
  test.each([
    ['9007199254740993', 'would be 9007199254740992'],
    ['-9007199254740993', 'would be -9007199254740992'],
    ['9223372036854775807', 'would be 9223372036854775808'],
    ['1e400', 'would be null'],
    ['-1e400', 'would be null'],
    ['123456789012345678901234567890', 'would be another'],
  ])('%s is refused: it %s', (number) => {
    for (const [text, field] of [
      [`{"seed":${number}}`, 'seed'],
      [`{"messages":[{"content":[{"x":0},{"x":[1,${number}]}]}]}`, 'messages.0.content.1.x.1'],
      [
        `{"tools":[{"input_schema":{"a\\"b":${number}}}]}`,
        'tools.0.input_schema.(unprintable name)',
      ],
    ] as const)
      expect(() => mustBeSound(parsed(text))).toThrow(expect.objectContaining({ field }) as Error);
  });

  test.each(['9007199254740991', '-9007199254740991', '0.1', '1e-7', '1.5e3', '-0.0', '5e-324'])(
    '%s passes',
    (number) => {
      expect(() => mustBeSound(parsed(`{"seed":${number}}`))).not.toThrow();
    },
  );

  test('in a text are text', () => {
    expect(() => mustBeSound({ seed: '9007199254740993' })).not.toThrow();
  });
});

test('depth is bounded, wherever it is', () => {
  let results: JsonObject = { type: 'text', text: 'x' };
  for (let i = 0; i < 50_000; i += 1) results = { type: 'tool_result', content: [results] };
  for (const body of [
    { stop: nested(100_000) },
    { metadata: nested(200) },
    { messages: [results] },
  ])
    expect(() => mustBeSound(body)).toThrow(/nested too deeply/);
  expect(() => mustBeSound({ stop: nested(100) })).not.toThrow();
});

test('keys of one object are bounded, wherever it is', () => {
  const keys = (count: number): JsonObject =>
    Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, i]));
  for (const body of [keys(10_001), { tools: [{ input_schema: keys(10_001) }] }])
    expect(() => mustBeSound(body)).toThrow(/too many keys/);
  expect(() => mustBeSound({ ...keys(9_999), logit_bias: keys(10_000) })).not.toThrow();
  expect(() => mustBeSound({ prompt: Array(20_000).fill(1) })).not.toThrow();
});

describe('before it is parsed, a text has too many parts', () => {
  const repeated = (part: (i: number) => string, times: number): string =>
    Array.from({ length: times }, (_, i) => part(i)).join(',');

  /** With the object and the key around them, as many parts as there may be, for times 1. */
  test.each<[string, (times: number) => string, number]>([
    ['lists', (times) => `{"x":[${repeated(() => '[]', times)}]}`, 49_997],
    ['objects', (times) => `{"x":[${repeated(() => '{ }', times)}]}`, 49_997],
    ['keys', (times) => `{${repeated((i) => `"k${i}" : 1`, times)}}`, 49_999],
    ['lists in lists', (times) => `{"x":${'['.repeat(times)}${']'.repeat(times)}}`, 49_998],
    ['the smallest', (times) => `${'['.repeat(times)}${']'.repeat(times)}`, 50_000],
  ])('where it has more than 50,000 %s', (_, text, most) => {
    expect(hasTooManyParts(text(most))).toBe(false);
    expect(hasTooManyParts(text(most + 1))).toBe(true);
  });

  test.each([
    JSON.stringify({ content: '{["x":1]},\\"'.repeat(60_000) }),
    JSON.stringify({ content: '\\'.repeat(300_000) }),
    `{"prompt":[${'1,'.repeat(300_000)}1]}`,
    `{"stop":["${'\\"{:'.repeat(60_000)}`,
  ])('not for what stands in texts, or in between', (text) => {
    expect(hasTooManyParts(text)).toBe(false);
  });

  test('by a count that agrees with what a parser finds', () => {
    const partsOf = (value: unknown): number => {
      if (typeof value !== 'object' || value === null) return 0;
      const keys = Array.isArray(value) ? 0 : Object.keys(value).length;
      return Object.values(value).reduce<number>((sum, one) => sum + partsOf(one), 1 + keys);
    };
    fc.assert(
      fc.property(fc.json({ maxDepth: 4 }), fc.boolean(), (json, isOneMore) => {
        const filling = 50_000 - 1 - partsOf(JSON.parse(json)) + (isOneMore ? 1 : 0);
        const text = `[${repeated(() => '[]', filling)},${json}]`;
        expect(hasTooManyParts(text)).toBe(isOneMore);
      }),
      { numRuns: 50 },
    );
  });
});

test('a whole number that passes is dispatched digit for digit', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: -(2n ** 70n), max: 2n ** 70n }), (number) => {
      const text = `{"seed":${number}}`;
      const body = parsed(text);
      let passes = true;
      try {
        mustBeSound(body);
      } catch {
        passes = false;
      }
      expect(passes ? JSON.stringify(body) : text).toBe(text);
      // None is refused that could be told apart from its neighbours.
      expect(passes).toBe(number >= -(2n ** 53n) + 1n && number <= 2n ** 53n - 1n);
    }),
  );
});
