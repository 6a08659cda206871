/** Tokens, by their ids: their values are never kept. */
import { z } from 'zod';
import { revokeTokens } from '../../broker/end-access.ts';
import { listTokens } from '../../broker/list-tokens.ts';
import { revokeToken } from '../../broker/revoke-token.ts';
import { idSchema } from '../../core/ids.ts';
import { narrowingSchema } from '../../core/narrowing.ts';
import { purposeSchema } from '../../core/vocabulary.ts';
import type { TokenRow } from '../../store/list-tokens.ts';
import { pageOf, pageQuery, searchPage } from '../paging.ts';
import { route } from '../route.ts';
import { instant, named, toInstant, toInstantOrNull } from '../schemas.ts';

const tag = 'Tokens';

const vouchedBySchema = z
  .enum(['person', 'lab'])
  .describe("By whose key: the person's own, or their lab's");

const audienceSchema = z
  .enum(['gateway', 'control'])
  .describe('Where it is good: for models under a grant, or for this API');

const tokenAnswer = named(
  'Token',
  z.object({
    id: z.string(),
    audience: audienceSchema,
    personId: z.string(),
    labId: z.string(),
    kid: z.string().describe('The key that it was obtained with'),
    vouchedBy: vouchedBySchema,
    bound: z
      .string()
      .nullable()
      .describe(
        'Thumbprint (RFC 7638) of the key that it is bound to; null: good for whoever has it',
      ),
    grantId: z.string().nullable(),
    grantVersion: z.int().nullable(),
    purpose: purposeSchema.nullable(),
    runId: z.string().nullable(),
    runName: z.string().nullable(),
    narrowing: narrowingSchema
      .nullable()
      .describe('To what it was narrowed; null: to nothing less than the grant'),
    issuedAt: instant,
    expiresAt: instant,
    revokedAt: instant.nullable(),
    lastUsedAt: instant.nullable().describe('When it was last presented; null: never'),
  }),
);

const show = (token: TokenRow): z.input<typeof tokenAnswer> => ({
  ...token,
  bound: token.jkt,
  issuedAt: toInstant(token.issuedAt),
  expiresAt: toInstant(token.expiresAt),
  revokedAt: toInstantOrNull(token.revokedAt),
  lastUsedAt: toInstantOrNull(token.lastUsedAt),
});

/** A person's key is known by its thumbprint, a lab's by whatever the lab calls it. */
const kidSchema = z.string().min(1).max(200);

const isThumbprint = (kid: string): boolean => /^[A-Za-z0-9_-]{43}$/.test(kid);

const selectionSchema = z
  .strictObject({
    token: idSchema('tok').optional(),
    grant: idSchema('grt').optional(),
    person: idSchema('per').optional(),
    run: idSchema('run').optional(),
    lab: idSchema('lab').optional(),
    key: kidSchema.optional().describe('The key that they were obtained with (kid)'),
  })
  .refine((selection) => Object.values(selection).some((value) => value !== undefined), {
    message: 'must say which tokens: token, grant, person, run, lab or key',
  })
  .refine(({ key, lab }) => key === undefined || lab !== undefined || isThumbprint(key), {
    path: ['key'],
    message:
      'is what a lab calls a key of its own, which another lab may do, too: it takes "lab" beside it',
  });

export const TOKEN_ROUTES = [
  route({
    method: 'get',
    path: '/api/v1/tokens',
    action: 'token.read',
    tag,
    summary: 'List tokens',
    description: 'Newest first, by id; never the token itself. All filters must match.',
    query: z.strictObject({
      ...pageQuery,
      grant: idSchema('grt').optional(),
      person: idSchema('per').optional(),
      run: idSchema('run').optional(),
      lab: idSchema('lab').optional(),
      key: kidSchema.optional().describe('The key that they were obtained with (kid)'),
      vouchedBy: vouchedBySchema.optional(),
      audience: audienceSchema.optional(),
      live: z.enum(['true', 'false']).optional().describe('true: neither expired nor revoked'),
    }),
    answer: pageOf(tokenAnswer),
    handle: ({ broker, actorId, query }) =>
      searchPage(
        query,
        (page) =>
          listTokens(broker, actorId, page, {
            grantId: query.grant,
            personId: query.person,
            runId: query.run,
            labId: query.lab,
            kid: query.key,
            vouchedBy: query.vouchedBy,
            audience: query.audience,
            live: query.live === 'true',
          }),
        show,
      ),
  }),
  route({
    method: 'post',
    path: '/api/v1/tokens/revoke',
    action: 'token.revoke',
    tag,
    summary: 'Revoke a selection of tokens',
    description:
      'Those that match everything that is given, as far as the caller may end them; others are not touched. When this returns, nothing passes with them and their streams are cut.',
    body: selectionSchema,
    answer: z.object({
      ended: z.int().describe('Live tokens that it ended'),
      cut: z.int().describe('Running requests that it cut'),
      warning: z.string().nullable().describe('Set when nothing was there for it to end'),
    }),
    handle: async ({ broker, actorId, body }) => {
      const { warning = null, ...ended } = await revokeTokens(broker, actorId, body);
      return { ...ended, warning };
    },
  }),
  route({
    method: 'post',
    path: '/api/v1/tokens/:token/revoke',
    action: 'token.revoke',
    tag,
    summary: 'Revoke a token',
    description:
      'When this returns, nothing passes with it and its streams are cut. Succeeds for one that has ended.',
    params: z.strictObject({ token: idSchema('tok') }),
    answer: z.object({
      id: z.string(),
      revokedAt: instant,
      cut: z.int().describe('Running requests that it cut'),
    }),
    handle: async ({ broker, actorId, params: { token } }) => {
      const { revokedAt, cut } = await revokeToken(broker, actorId, token);
      return { id: token, revokedAt: toInstant(revokedAt), cut };
    },
  }),
];
