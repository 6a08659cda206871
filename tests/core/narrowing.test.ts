import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  narrowingSchema,
  refusalOfNarrowing,
  scopeOf,
  type Narrowing,
  type Scope,
} from '../../src/core/narrowing.ts';
import { SWITCHES, featuresSchema, type Switch } from '../../src/core/vocabulary.ts';
import { aSpec } from '../support/facts.ts';

const spec = aSpec({
  endpoints: [
    { endpoint: 'demo', models: ['model-a-1', 'model-b-1'] },
    { endpoint: 'other', models: ['model-c-1'] },
  ],
  features: { streaming: true, tools: true, n: 4, maxOutputTokens: 1000, betaHeaders: ['a', 'b'] },
});

describe('a narrowing', () => {
  test.each<[string, Narrowing, string]>([
    ['a model that is not granted', { models: ['model-a-1', 'model-x-1'] }, 'model_not_granted'],
    ['an operation that is not granted', { operations: ['models'] }, 'operation_not_granted'],
    ['a feature that is not granted', { features: { images: true } }, 'feature_not_granted'],
    ['more answers', { features: { n: 5 } }, 'feature_not_granted'],
    ['more output', { features: { maxOutputTokens: 1001 } }, 'feature_not_granted'],
    ['another beta', { features: { betaHeaders: ['c'] } }, 'feature_not_granted'],
  ])('that asks for %s is refused', (_what, narrowing, code) => {
    expect(refusalOfNarrowing(spec, narrowing)?.code).toBe(code);
  });

  test.each<[string, Narrowing]>([
    ['nothing', {}],
    ['all there is', { models: ['model-a-1', 'model-b-1', 'model-c-1'], features: { n: 4 } }],
    ['less', { models: ['model-c-1'], features: { tools: false, maxOutputTokens: 1 } }],
    ['that something stays off', { features: { images: false } }],
  ])('that asks for %s is taken', (_what, narrowing) => {
    expect(refusalOfNarrowing(spec, narrowing)).toBeNull();
  });

  test('that leaves something out leaves it as the grant has it', () => {
    expect(narrowingSchema.parse({ features: {} })).toEqual({ features: {} });
    expect(scopeOf(spec, { features: {} })).toEqual({
      endpoints: spec.endpoints,
      operations: spec.operations,
      features: spec.features,
    });
    expect(scopeOf(spec, null)).toBe(spec);
  });

  test('takes away what it says and no more', () => {
    const scope = scopeOf(spec, {
      models: ['model-c-1'],
      operations: ['messages'],
      features: { tools: false, n: 2, betaHeaders: ['b'] },
    });
    expect(scope).toEqual({
      endpoints: [{ endpoint: 'other', models: ['model-c-1'] }],
      operations: ['messages'],
      features: { ...spec.features, tools: false, n: 2, betaHeaders: ['b'] },
    });
  });

  test('cannot name what no grant has', () => {
    expect(narrowingSchema.safeParse({ features: { telepathy: true } }).success).toBe(false);
    expect(narrowingSchema.safeParse({ limits: {} }).success).toBe(false);
    expect(narrowingSchema.safeParse({ models: [] }).success).toBe(false);
  });

  test('never gives more than the grant, however the grant was narrowed since', () => {
    const features = fc.record(
      {
        ...(Object.fromEntries(Object.keys(SWITCHES).map((name) => [name, fc.boolean()])) as Record<
          Switch,
          fc.Arbitrary<boolean>
        >),
        n: fc.integer({ min: 1, max: 128 }),
        maxOutputTokens: fc.integer({ min: 1, max: 1_000_000 }),
        betaHeaders: fc.subarray(['a', 'b', 'c']),
      },
      { requiredKeys: [] },
    );
    const models = fc.subarray(['model-a-1', 'model-b-1', 'model-c-1'], { minLength: 1 });
    fc.assert(
      fc.property(models, models, features, features, (granted, asked, has, wants) => {
        const grant: Scope = {
          endpoints: [{ endpoint: 'demo', models: granted }],
          operations: ['messages'],
          features: featuresSchema.parse(has),
        };
        const scope = scopeOf(grant, { models: asked, features: wants });
        for (const model of scope.endpoints.flatMap((entry) => entry.models))
          expect(granted).toContain(model);
        for (const name of Object.keys(SWITCHES) as Switch[])
          expect(!scope.features[name] || grant.features[name]).toBe(true);
        expect(scope.features.n).toBeLessThanOrEqual(grant.features.n);
        expect(scope.features.maxOutputTokens).toBeLessThanOrEqual(grant.features.maxOutputTokens);
        for (const value of scope.features.betaHeaders)
          expect(grant.features.betaHeaders).toContain(value);
      }),
    );
  });
});
