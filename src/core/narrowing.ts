/**
 * What a token gives up of its grant. A token can only ever narrow: what stands is at every moment the
 * narrower of the grant as it is then and of what the token was asked for.
 */
import { z } from 'zod';
import { refusal, type Refusal } from './denials.ts';
import type { GrantSpec } from './grants.ts';
import {
  SWITCHES,
  betaHeadersSchema,
  maxOutputTokensSchema,
  mostAnswersSchema,
  modelSchema,
  operationSchema,
  type Features,
  type Switch,
} from './vocabulary.ts';

const switchShape = Object.fromEntries(
  Object.keys(SWITCHES).map((name) => [name, z.boolean().optional()]),
) as Record<Switch, z.ZodOptional<z.ZodBoolean>>;

export const narrowingSchema = z.strictObject({
  models: z.array(modelSchema).min(1).max(64).optional(),
  operations: z.array(operationSchema).min(1).optional(),
  features: z
    .strictObject({
      ...switchShape,
      n: mostAnswersSchema.optional(),
      maxOutputTokens: maxOutputTokensSchema.optional(),
      betaHeaders: betaHeadersSchema.optional(),
    })
    .optional()
    .describe('What is left out stays as the grant has it'),
});

export type Narrowing = z.infer<typeof narrowingSchema>;

/** What a token can be used for: the part of a grant that concerns requests. */
export type Scope = Pick<GrantSpec, 'endpoints' | 'operations' | 'features'>;

/** Whether somebody asks for more than the grant gives, which is refused rather than cut down in silence. */
export function refusalOfNarrowing(spec: Scope, narrowing: Narrowing): Refusal | null {
  const models = spec.endpoints.flatMap((entry) => entry.models);
  const model = narrowing.models?.find((name) => !models.includes(name));
  if (model !== undefined) {
    return refusal(
      'model_not_granted',
      `The grant does not cover the model "${model}". It covers: ${models.join(', ')}.`,
      { param: 'models' },
    );
  }
  const operation = narrowing.operations?.find((name) => !spec.operations.includes(name));
  if (operation !== undefined) {
    return refusal(
      'operation_not_granted',
      `The grant does not allow "${operation}". It allows: ${spec.operations.join(', ')}.`,
      { param: 'operations' },
    );
  }
  const feature = exceeded(spec.features, narrowing.features ?? {});
  if (feature === null) return null;
  return refusal('feature_not_granted', `The grant does not allow that much of "${feature}".`, {
    param: `features.${feature}`,
  });
}

/** The first feature of which more is asked for than is granted. */
function exceeded(granted: Features, asked: NonNullable<Narrowing['features']>): string | null {
  for (const name of Object.keys(SWITCHES) as Switch[])
    if (asked[name] === true && !granted[name]) return name;
  if ((asked.n ?? 1) > granted.n) return 'n';
  if ((asked.maxOutputTokens ?? 1) > granted.maxOutputTokens) return 'maxOutputTokens';
  if (asked.betaHeaders?.some((value) => !granted.betaHeaders.includes(value)))
    return 'betaHeaders';
  return null;
}

/** What a token gives access to: the grant as it stands now, less what the token gave up. */
export function scopeOf(spec: Scope, narrowing: Narrowing | null): Scope {
  if (narrowing === null) return spec;
  const { models, operations, features = {} } = narrowing;
  return {
    endpoints:
      models === undefined
        ? spec.endpoints
        : spec.endpoints
            .map((entry) => ({
              ...entry,
              models: entry.models.filter((model) => models.includes(model)),
            }))
            .filter((entry) => entry.models.length > 0),
    operations:
      operations === undefined
        ? spec.operations
        : spec.operations.filter((operation) => operations.includes(operation)),
    features: narrowFeatures(spec.features, features),
  };
}

function narrowFeatures(granted: Features, asked: NonNullable<Narrowing['features']>): Features {
  const { betaHeaders } = asked;
  const switches = Object.fromEntries(
    (Object.keys(SWITCHES) as Switch[]).map((name) => [
      name,
      granted[name] && asked[name] !== false,
    ]),
  ) as Record<Switch, boolean>;
  return {
    ...switches,
    n: Math.min(granted.n, asked.n ?? granted.n),
    maxOutputTokens: Math.min(
      granted.maxOutputTokens,
      asked.maxOutputTokens ?? granted.maxOutputTokens,
    ),
    betaHeaders:
      betaHeaders === undefined
        ? granted.betaHeaders
        : granted.betaHeaders.filter((value) => betaHeaders.includes(value)),
  };
}
