/** Tokens, by their ids: their values are never kept. */
import { z } from 'zod';
import { listTokens, revokeToken } from '../../broker/revoke-token.ts';
import { idSchema } from '../../core/ids.ts';
import { purposeSchema } from '../../core/vocabulary.ts';
import type { TokenRow } from '../../store/readers.ts';
import { pageOf, pageQuery, readPage } from '../paging.ts';
import { route } from '../route.ts';
import { instant, named, toInstant, toInstantOrNull } from '../schemas.ts';

const tag = 'Tokens';

const tokenAnswer = named(
  'Token',
  z.object({
    id: z.string(),
    audience: z.enum(['gateway', 'control']),
    personId: z.string(),
    labId: z.string(),
    kid: z.string().describe('The key that it was obtained with'),
    grantId: z.string().nullable(),
    grantVersion: z.int().nullable(),
    purpose: purposeSchema.nullable(),
    runId: z.string().nullable(),
    runName: z.string().nullable(),
    issuedAt: instant,
    expiresAt: instant,
    revokedAt: instant.nullable(),
  }),
);

const show = (token: TokenRow): z.input<typeof tokenAnswer> => ({
  ...token,
  issuedAt: toInstant(token.issuedAt),
  expiresAt: toInstant(token.expiresAt),
  revokedAt: toInstantOrNull(token.revokedAt),
});

export const TOKEN_ROUTES = [
  route({
    method: 'get',
    path: '/api/v1/tokens',
    action: 'token.read',
    tag,
    summary: 'List tokens',
    description: 'Newest first, by id; never the token itself.',
    query: z.strictObject({
      ...pageQuery,
      grant: idSchema('grt').optional(),
      person: idSchema('per').optional(),
      live: z.enum(['true', 'false']).optional().describe('true: neither expired nor revoked'),
    }),
    answer: pageOf(tokenAnswer),
    handle: ({ broker, actorId, query }) =>
      readPage(
        query,
        (page) =>
          listTokens(broker, actorId, page, {
            grantId: query.grant,
            personId: query.person,
            live: query.live === 'true',
          }),
        show,
      ),
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
    answer: z.object({ id: z.string(), revokedAt: instant }),
    handle: async ({ broker, actorId, params: { token } }) => {
      const { revokedAt } = await revokeToken(broker, actorId, token);
      return { id: token, revokedAt: toInstant(revokedAt) };
    },
  }),
];
