import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { DEFAULT_RULES, authorityRulesSchema, holds } from '../../src/core/authority-rules.ts';
import { after, before } from '../../src/core/durations.ts';
import { HOST, PARTNER, aMember } from '../support/facts.ts';

const file = new URL('../../config/authority.yaml', import.meta.url);

test('config/authority.yaml says every rule, with its default', () => {
  expect(parse(readFileSync(file, 'utf8'))).toEqual(DEFAULT_RULES);
});

describe('rules of authority', () => {
  test('one level can be said otherwise, the rest stays', () => {
    const rules = authorityRulesSchema.parse({ orders: { levels: { watch: { lapse: '2d' } } } });
    expect(rules.orders.levels.watch).toEqual({
      ...DEFAULT_RULES.orders.levels.watch,
      lapse: '2d',
    });
    expect(rules.orders.levels.recall).toEqual(DEFAULT_RULES.orders.levels.recall);
  });

  test.each([
    [{ approvals: ['admin'] }, 'at least two'],
    [{ approvals: [] }, 'at least two'],
    [{ approvals: ['admin', 'admin'] }, 'twice'],
    [{ approvals: ['admin', 'researcher'] }, 'Invalid option'],
    [{ orders: { levels: { watch: { lapse: '2 days' } } } }, 'hours (72h)'],
    [{ orders: { levels: { panic: {} } } }, 'panic'],
  ])('%j is refused', (value, why) => {
    expect(authorityRulesSchema.safeParse(value).error?.message).toContain(why);
  });

  test('an authority is a kind of lab and a role', () => {
    const officer = aMember(HOST, 'officer', 'safety');
    const theirs = aMember(PARTNER, 'theirs', 'safety');
    expect(holds(officer, ['host.safety'])).toBe(true);
    expect(holds(theirs, ['host.safety'])).toBe(false);
    expect(holds(theirs, ['host.executive', 'partner.safety'])).toBe(true);
    expect(holds(theirs, ['anyone'])).toBe(true);
    // Nobody, not everybody.
    expect(holds(officer, [])).toBe(false);
  });
});

describe('a span', () => {
  // A Friday.
  const friday = Date.parse('2026-06-12T10:00:00.000Z');

  test.each([
    ['72h', '2026-06-15T10:00:00.000Z'],
    ['14d', '2026-06-26T10:00:00.000Z'],
    ['1wd', '2026-06-15T10:00:00.000Z'],
    ['15wd', '2026-07-03T10:00:00.000Z'],
  ])('of %s after a Friday', (span, end) => {
    expect(new Date(after(friday, span)).toISOString()).toBe(end);
  });

  test('before a moment', () => {
    expect(new Date(before(friday, '1d')).toISOString()).toBe('2026-06-11T10:00:00.000Z');
  });
});
