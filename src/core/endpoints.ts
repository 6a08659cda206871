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

export const endpointSchema = z
  .strictObject({
    id: slugSchema,
    description: z.string().max(500).default(''),
    dialects: z.array(dialectSchema).min(1, 'must name at least one of: openai, anthropic'),
    upstream: z
      .url({ protocol: /^https?$/, error: 'must be an http:// or https:// URL', abort: true })
      .refine((text) => {
        const { username, password, search, hash } = new URL(text);
        return `${username}${password}${search}${hash}` === '';
      }, 'must have no user, password, query or fragment; a secret belongs into "credential"')
      .describe('Base URL of the upstream, with or without its final /v1'),
    http2: z.boolean().default(false),
    tls: tlsSchema.optional(),
    credential: credentialSchema.optional(),
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
      .array(
        z.strictObject({
          restores: z.array(z.string().min(1).max(120)).min(1),
          models: z
            .record(modelSchema, modelSchema)
            .refine((models) => Object.keys(models).length > 0, 'must name at least one model'),
        }),
      )
      .max(16)
      .default([])
      .describe(
        'What puts safeguards back: for each pinned model the one that is called in its place while an order says so',
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
  .refine(({ upstream, tls }) => tls === undefined || upstream.startsWith('https:'), {
    path: ['tls'],
    message: 'needs an https:// upstream',
  });

export type Endpoint = z.infer<typeof endpointSchema>;

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
