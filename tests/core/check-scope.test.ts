import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { checkScope, mostOutputTokens, type Inspection } from '../../src/core/scope/inspection.ts';
import { SWITCHES, featuresSchema, type Features, type Switch } from '../../src/core/vocabulary.ts';

const NAMES = Object.keys(SWITCHES) as Switch[];
const ALL = featuresSchema.parse(Object.fromEntries(NAMES.map((name) => [name, true])));
const NONE = featuresSchema.parse({});

const inspection = (changes: Partial<Inspection> = {}): Inspection => ({
  model: 'm',
  stream: false,
  uses: [],
  n: 1,
  answers: 1,
  maxOutputTokens: null,
  unknownFields: [],
  mediaParts: 0,
  messages: 0,
  tools: false,
  ...changes,
});

describe('a feature', () => {
  test.each(NAMES)('%s passes where both the grant and the endpoint have it', (feature) => {
    const asked = inspection({ uses: [{ feature, field: 'some.field' }] });
    const only = { ...NONE, [feature]: true };
    expect(checkScope(asked, only, only, 'refuse')).toBeNull();
    const others = { ...ALL, [feature]: false };
    expect(checkScope(asked, others, ALL, 'refuse')).toMatchObject({
      code: 'feature_not_granted',
      param: 'some.field',
      message: expect.stringMatching(
        new RegExp(`grant does not allow the feature "${feature}".*"some.field"`),
      ) as string,
    });
    expect(checkScope(asked, ALL, others, 'refuse')?.message).toMatch(
      new RegExp(`endpoint does not offer the feature "${feature}"`),
    );
  });

  test('passes only if every one of them does', () => {
    const some = fc.subarray(NAMES);
    fc.assert(
      fc.property(some, some, some, (used, granted, offered) => {
        const on = (names: Switch[]): Features => ({
          ...NONE,
          ...Object.fromEntries(names.map((name) => [name, true])),
        });
        const asked = inspection({ uses: used.map((feature) => ({ feature, field: feature })) });
        const why = checkScope(asked, on(granted), on(offered), 'refuse');
        const missing = used.find((name) => !granted.includes(name) || !offered.includes(name));
        expect(why?.param).toBe(missing);
      }),
    );
  });
});

describe('a field that nobody knows', () => {
  const asked = inspection({ unknownFields: ['messages.3.surprise'] });

  test('is refused by name', () => {
    expect(checkScope(asked, ALL, ALL, 'refuse')).toMatchObject({
      code: 'unknown_field',
      param: 'messages.3.surprise',
      message: expect.stringContaining('"messages.3.surprise"') as string,
    });
  });

  test('passes where the grant says so, and takes no feature along', () => {
    expect(checkScope(asked, ALL, ALL, 'pass')).toBeNull();
    const both = { ...asked, uses: [{ feature: 'tools', field: 'tools' } as const] };
    expect(checkScope(both, NONE, ALL, 'pass')).toMatchObject({ code: 'feature_not_granted' });
  });
});

describe('numbers', () => {
  test('of one are said as such', () => {
    const one = { ...ALL, n: 1, maxOutputTokens: 1 };
    expect(checkScope(inspection({ n: 2 }), ALL, one, 'refuse')?.message).toContain('1 answer to');
    expect(checkScope(inspection({ maxOutputTokens: 2 }), ALL, one, 'refuse')?.message).toContain(
      'at most 1 output token to one answer',
    );
  });

  test('of answers: the narrower of grant and endpoint counts', () => {
    const three = inspection({ n: 3 });
    expect(checkScope(three, { ...ALL, n: 3 }, { ...ALL, n: 5 }, 'refuse')).toBeNull();
    for (const [granted, offered] of [
      [2, 5],
      [5, 2],
    ] as const)
      expect(
        checkScope(three, { ...ALL, n: granted }, { ...ALL, n: offered }, 'refuse'),
      ).toMatchObject({ code: 'feature_not_granted', param: 'n' });
  });

  test('of output tokens: likewise, up to and including the maximum', () => {
    const granted = { ...ALL, maxOutputTokens: 100 };
    const offered = { ...ALL, maxOutputTokens: 50 };
    expect(mostOutputTokens(granted, offered)).toBe(50);
    expect(checkScope(inspection({ maxOutputTokens: 50 }), granted, offered, 'refuse')).toBeNull();
    expect(
      checkScope(inspection({ maxOutputTokens: null }), granted, offered, 'refuse'),
    ).toBeNull();
    for (const [one, other] of [
      [granted, offered],
      [offered, granted],
    ] as const)
      expect(checkScope(inspection({ maxOutputTokens: 51 }), one, other, 'refuse')).toMatchObject({
        code: 'feature_not_granted',
        param: 'max_tokens',
      });
  });
});
