/** What is never granted, whoever approves it: an unreleased model, a purpose. Only the configuration says so. */
import { z } from 'zod';
import { refusal, type Refusal } from './denials.ts';
import type { GrantSpec } from './grants.ts';
import { modelSchema, purposeSchema, slugSchema, type Purpose } from './vocabulary.ts';

export const exclusionsSchema = z.strictObject({
  endpoints: z.array(slugSchema).max(64).default([]),
  models: z.array(modelSchema).max(256).default([]),
  purposes: z.array(purposeSchema).default([]),
});

export type Exclusions = z.infer<typeof exclusionsSchema>;

export const NOTHING_EXCLUDED: Exclusions = exclusionsSchema.parse({});

type What = 'endpoint' | 'model' | 'purpose';

const never = (what: What, name: string): Refusal =>
  refusal(
    'never_granted',
    `The ${what} "${name}" is never granted by this host. No approval changes that; leave it out.`,
  );

/** Why a text may not stand: the first thing in it that is never granted; null where there is none. */
export function refusalOfExcluded(
  spec: Pick<GrantSpec, 'endpoints' | 'purposes'>,
  excluded: Exclusions,
): Refusal | null {
  for (const { endpoint, models } of spec.endpoints) {
    const why = firstRefusal(models, (model) => refusalOfModel(endpoint, model, excluded));
    if (why) return { ...why, param: 'endpoints' };
  }
  const why = firstRefusal(spec.purposes.allowed, (one) => refusalOfPurpose(one, excluded));
  return why && { ...why, param: 'purposes' };
}

/** Why nothing passes under a whole grant: all of its models, or all of its purposes, are never granted. */
export function refusalOfWhole(
  spec: Pick<GrantSpec, 'endpoints' | 'purposes'>,
  excluded: Exclusions,
): Refusal | null {
  if (Object.values(excluded).every((list) => list.length === 0)) return null;
  const models = spec.endpoints.flatMap((entry) =>
    entry.models.map((model) => refusalOfModel(entry.endpoint, model, excluded)),
  );
  const purposes = spec.purposes.allowed.map((purpose) => refusalOfPurpose(purpose, excluded));
  return allOf(models) ?? allOf(purposes);
}

/** Why nothing passes to a model at an endpoint, or null. */
export function refusalOfModel(
  endpoint: string,
  model: string,
  { endpoints, models }: Exclusions,
): Refusal | null {
  if (endpoints.includes(endpoint)) return never('endpoint', endpoint);
  return models.includes(model) ? never('model', model) : null;
}

/** Why nothing passes for a purpose, or null. */
export function refusalOfPurpose(purpose: Purpose, { purposes }: Exclusions): Refusal | null {
  return purposes.includes(purpose) ? never('purpose', purpose) : null;
}

function firstRefusal<T>(list: readonly T[], why: (one: T) => Refusal | null): Refusal | null {
  for (const one of list) {
    const found = why(one);
    if (found) return found;
  }
  return null;
}

/** The first refusal, where there is one for each. */
const allOf = ([first, ...others]: (Refusal | null)[]): Refusal | null =>
  first && others.every((one) => one !== null) ? first : null;
