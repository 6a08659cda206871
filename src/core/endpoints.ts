/** Model endpoints that the host protects. They come from the configuration file, never from the API. */
import { z } from 'zod';
import { approvalRoleSchema } from './authority-rules.ts';
import { dialectSchema, featuresSchema, modelSchema, slugSchema } from './vocabulary.ts';

/** Where a secret of the configuration is read from. */
export const credentialSchema = z
  .string()
  .regex(
    /^(env:[A-Za-z_][A-Za-z0-9_]*|file:.+)$/,
    'must be "env:NAME" (an environment variable) or "file:PATH"; the secret itself does not belong here',
  )
  .describe('Where the upstream credential is read from; never the secret itself');

const pricesSchema = z.strictObject({
  inputUsdPerMillion: z.number().min(0).max(100_000).default(0),
  outputUsdPerMillion: z.number().min(0).max(100_000).default(0),
});

const tlsSchema = z
  .strictObject({
    caFile: z.string().min(1).optional(),
    certFile: z.string().min(1).optional(),
    keyFile: z.string().min(1).optional(),
  })
  .refine(
    ({ certFile, keyFile }) => (certFile === undefined) === (keyFile === undefined),
    'must name certFile and keyFile together, or neither',
  );

const upstreamUrlSchema = z
  .url({ protocol: /^https?$/, error: 'must be an http:// or https:// URL', abort: true })
  .refine((text) => {
    const { username, password, search, hash } = new URL(text);
    return `${username}${password}${search}${hash}` === '';
  }, 'must have no user, password, query or fragment; a secret belongs into "credential"')
  .describe('Base URL of the upstream, with or without its final /v1');

interface Secured {
  upstream: string;
  tls?: z.infer<typeof tlsSchema> | undefined;
}

const hasUseForTls = ({ upstream, tls }: Secured): boolean =>
  tls === undefined || upstream.startsWith('https:');

const NO_USE_FOR_TLS = { path: ['tls'], message: 'needs an https:// upstream' };

/** What connections are made to. Nothing in it is taken from anywhere else: an upstream gets no other one's secret. */
const connectionShape = {
  upstream: upstreamUrlSchema,
  http2: z.boolean().default(false),
  tls: tlsSchema.optional(),
  credential: credentialSchema.optional(),
};

/** An upstream that is called in place of the endpoint's own. */
const otherUpstreamSchema = z
  .strictObject({ name: slugSchema.describe('By which the log names it'), ...connectionShape })
  .refine(hasUseForTls, NO_USE_FOR_TLS);

const alternativeSchema = z.strictObject({
  restores: z.array(z.string().min(1).max(120)).min(1),
  models: z
    .record(modelSchema, modelSchema)
    .refine((models) => Object.keys(models).length > 0, 'must name at least one model'),
  at: otherUpstreamSchema
    .optional()
    .describe('Where it is called. Left out: at the endpoint’s own upstream'),
});

export const endpointSchema = z
  .strictObject({
    id: slugSchema,
    description: z.string().max(500).default(''),
    dialects: z.array(dialectSchema).min(1, 'must name at least one of: openai, anthropic'),
    ...connectionShape,
    models: z
      .array(modelSchema)
      .min(1, 'must name at least one pinned model version')
      .max(64)
      .describe('Pinned model versions, exactly as the upstream names them'),
    safeguardsLifted: z
      .array(
        z.strictObject({
          safeguard: z.string().min(1).max(120),
          reason: z.string().min(1).max(1_000),
          owner: z.string().min(1).max(200),
        }),
      )
      .default([])
      .describe(
        'Each safeguard that is lifted at this endpoint, with the reason and who answers for it',
      ),
    alternatives: z
      .array(alternativeSchema)
      .max(16)
      .default([])
      .describe(
        'What puts safeguards back while an order says so: for each pinned model the one that is called in its place, and where',
      ),
    approvals: z
      .array(approvalRoleSchema)
      .default([])
      .describe('Roles whose approval a grant of this endpoint needs beside those of every grant'),
    features: featuresSchema
      .default(() => featuresSchema.parse({ streaming: true, systemPrompt: true }))
      .describe('What the endpoint offers at most'),
    prices: pricesSchema.default({ inputUsdPerMillion: 0, outputUsdPerMillion: 0 }),
    maxOutputTokensField: z
      .enum(['max_tokens', 'max_completion_tokens'])
      .default('max_tokens')
      .describe(
        'The field in which the upstream wants the maximum of output tokens where a request names none (openai dialect)',
      ),
  })
  .refine(hasUseForTls, NO_USE_FOR_TLS)
  .superRefine(({ models, alternatives }, context) => {
    const fail = (path: (string | number)[], message: string): void =>
      context.addIssue({ code: 'custom', path: ['alternatives', ...path], message });
    const names = new Set<string>();
    for (const [i, one] of alternatives.entries()) {
      for (const model of Object.keys(one.models))
        if (!models.includes(model))
          fail([i, 'models'], `"${model}" is none of the endpoint's models`);
      const { at } = one;
      if (at && names.has(at.name)) fail([i, 'at', 'name'], `"${at.name}" is used twice`);
      if (at) names.add(at.name);
    }
  });

export type Endpoint = z.infer<typeof endpointSchema>;
export type EndpointAlternative = Endpoint['alternatives'][number];

/** An upstream of an endpoint: its own, or that of an alternative. */
export type UpstreamOfEndpoint = Pick<Endpoint, 'upstream' | 'http2' | 'tls' | 'credential'> & {
  endpoint: string;
  /** Null: the endpoint's own. */
  name: string | null;
};

/** All upstreams of an endpoint. */
export function upstreamsOf({ id, alternatives, ...own }: Endpoint): UpstreamOfEndpoint[] {
  const { upstream, http2, tls, credential } = own;
  const others = alternatives.flatMap(({ at }) => (at ? [{ ...at, endpoint: id }] : []));
  return [{ endpoint: id, name: null, upstream, http2, tls, credential }, ...others];
}

/** By what an upstream is found. A slug has no blanks. */
export const upstreamKey = (endpoint: string, name: string | null): string =>
  name === null ? endpoint : `${endpoint} ${name}`;

/** Cost of so many tokens at an endpoint's prices, in billionths of a dollar, rounded up. */
export function priceNanoUsd(
  endpoint: Pick<Endpoint, 'prices'>,
  inputTokens: number,
  outputTokens: number,
): number {
  // $1 per million tokens is 1,000 billionths of a dollar per token.
  return Math.ceil(
    inputTokens * endpoint.prices.inputUsdPerMillion * 1000 +
      outputTokens * endpoint.prices.outputUsdPerMillion * 1000,
  );
}
