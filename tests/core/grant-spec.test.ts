import { describe, expect, test } from 'vitest';
import { grantSpecSchema, grantedModels } from '../../src/core/grants.ts';
import { SWITCHES, type Switch } from '../../src/core/vocabulary.ts';
import { LEAD, NOW, PARTNER, at, aSpec, specInput, type SpecInput } from '../support/facts.ts';

/** The paths and messages that a specification is refused with. */
function problems(changes: object): string[] {
  const parsed = grantSpecSchema.safeParse({ ...specInput(), ...changes });
  return parsed.success
    ? []
    : parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
}

describe('what a grant does not name', () => {
  test('is not allowed: every feature is off', () => {
    const { features } = aSpec();
    for (const name of Object.keys(SWITCHES) as Switch[]) expect(features[name]).toBe(false);
    expect(features).toMatchObject({ n: 1, betaHeaders: [] });
  });

  test('is kept strict: unknown fields are refused, only digests are kept', () => {
    expect(aSpec()).toMatchObject({
      unknownFields: 'refuse',
      transcripts: 'digest',
      binding: 'none',
      networks: null,
      tokenLifetimeSeconds: 900,
    });
  });

  test('has no limit of its own, for the grant and for each person', () => {
    const none = { requestsPerMinute: null, tokensPerMinute: null, concurrent: null };
    expect(aSpec()).toMatchObject({ limits: none, perPerson: { limits: none } });
  });
});

describe('refused', () => {
  test.each([
    ['at the top', { surprise: 1 }],
    ['in features', { features: { telepathy: true } }],
    ['in limits', { limits: { requestsPerHour: 1 } }],
    ['in budgets', { budgets: { euros: 1 } }],
    ['in an endpoint', { endpoints: [{ endpoint: 'demo', models: ['m'], upstream: 'http://x' }] }],
    ['in the roster', { people: [{ person: LEAD.person.id, roles: ['admin'] }] }],
    ['in the window', { window: { ...specInput().window, forever: true } }],
  ])('an unknown field %s', (_where, changes) => {
    expect(problems(changes)).toHaveLength(1);
    expect(problems(changes)[0]).toMatch(/Unrecognized key/);
  });

  test('a binding that there is not', () => {
    expect(problems({ binding: 'mtls' })).toHaveLength(1);
  });

  test.each(['sealed', 'full'])('transcripts of mode %s, by name', (mode) => {
    expect(problems({ transcripts: mode })).toEqual([
      'transcripts: only "digest" is supported so far; "sealed" and "full" are not',
    ]);
  });

  test.each([
    ['nobody, and no cap to invite within', { people: [] }, 'people: must name somebody'],
    ['more people than the cap', { maxPeople: 1 }, 'maxPeople: is less than the 2 people named'],
  ])('a roster of %s', (_what, changes, message) => {
    expect(problems(changes)).toEqual([expect.stringContaining(message)]);
  });

  test('a purpose that is both allowed and excluded', () => {
    expect(
      problems({ purposes: { allowed: ['bias', 'scheming'], excluded: ['scheming'] } }),
    ).toEqual(['purposes.excluded: must not repeat an allowed purpose (scheming)']);
  });

  test('a purpose that nobody defined, and none at all', () => {
    expect(problems({ purposes: { allowed: ['fun'] } })).toHaveLength(1);
    expect(problems({ purposes: { allowed: [] } })).toHaveLength(1);
  });

  test.each([
    ['ends before it begins', at(NOW), at(NOW - 1)],
    ['ends as it begins', at(NOW), at(NOW)],
    [
      'ends as it begins, in another time zone',
      '2026-01-01T12:00:00+02:00',
      '2026-01-01T10:00:00Z',
    ],
  ])('a window that %s', (_name, from, until) => {
    expect(problems({ window: { from, until } })).toEqual([
      'window.until: must be later than window.from',
    ]);
  });

  test.each(['2026-01-01', 'tomorrow', '2026-01-01T00:00:00', '2026-02-30T00:00:00Z', 1, null])(
    'a window until %j, which is not a moment',
    (until) => {
      expect(problems({ window: { from: at(NOW), until } })[0]).toMatch(
        /^window.until: must be a moment, as /,
      );
    },
  );

  test('an endpoint, a model or a person named twice', () => {
    const twice = { endpoint: 'demo', models: ['m1'] };
    expect(problems({ endpoints: [twice, { ...twice, models: ['m2'] }] })).toEqual([
      'endpoints: names "demo" twice',
    ]);
    expect(problems({ endpoints: [twice, { ...twice, endpoint: 'other' }] })).toEqual([
      'endpoints: names model "m1" twice',
    ]);
    const { id } = LEAD.person;
    expect(problems({ people: [{ person: id }, { person: id, until: at(NOW) }] })).toEqual([
      `people: names "${id}" twice`,
    ]);
  });

  test.each([
    ['no people', { people: [] }],
    ['no endpoints', { endpoints: [] }],
    ['no operations', { operations: [] }],
    ['no networks, which is not the same as any network', { networks: [] }],
    ['a network that is not one', { networks: ['everywhere'] }],
    ['a lab by name', { lab: PARTNER.name }],
    ['a limit of nothing', { limits: { requestsPerMinute: 0 } }],
    ['a limit of one and a half', { limits: { concurrent: 1.5 } }],
    ['a budget of minus one', { budgets: { spendUsd: -1 } }],
    ['a budget of NaN', { budgets: { spendUsd: Number.NaN } }],
    ['a token that lives a day', { tokenLifetimeSeconds: 86_400 }],
    ['terms without text', { terms: { version: '1', text: '' } }],
  ])('%s', (_name, changes) => {
    expect(problems(changes)).not.toHaveLength(0);
  });
});

test('moments are kept in UTC, whatever zone they were written in', () => {
  const window: SpecInput['window'] = {
    from: '2026-01-01T02:00:00+02:00',
    until: '2026-01-01T00:00:00.5-01:00',
  };
  expect(aSpec({ window }).window).toEqual({
    from: '2026-01-01T00:00:00.000Z',
    until: '2026-01-01T01:00:00.500Z',
  });
});

test('the models of a grant come with the endpoint that each is at', () => {
  const spec = aSpec({
    endpoints: [
      { endpoint: 'one', models: ['a', 'b'] },
      { endpoint: 'two', models: ['c'] },
    ],
  });
  expect(grantedModels(spec)).toEqual([
    { endpoint: 'one', model: 'a' },
    { endpoint: 'one', model: 'b' },
    { endpoint: 'two', model: 'c' },
  ]);
});
