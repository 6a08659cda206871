/** The keys that sign tokens. Their public halves are at /oauth/jwks, for anybody. */
import { z } from 'zod';
import {
  listSigningKeys,
  retireSigningKey,
  rotateSigningKeys,
  type ShownKey,
} from '../../broker/manage-signing-keys.ts';
import { proseSchema } from '../../core/people.ts';
import type { SigningKeyRecord } from '../../core/signing-keys.ts';
import { pageOf } from '../paging.ts';
import { route } from '../route.ts';
import { instant, named, toInstant, toInstantOrNull } from '../schemas.ts';

const tag = 'Keys';

const keyShape = z.object({
  kid: z.string().describe('RFC 7638 thumbprint'),
  state: z
    .enum(['next', 'active', 'retiring', 'retired'])
    .describe(
      'next: published, signs nothing yet; active: signs; retiring: its tokens are still good; retired: over',
    ),
  createdAt: instant,
  activatesAt: instant.nullable().describe('When a next key takes over'),
  activatedAt: instant.nullable(),
  replacedAt: instant.nullable().describe('When it stopped signing'),
  retiredAt: instant.nullable(),
});
const keyAnswer = named('SigningKey', keyShape);

const listedAnswer = named(
  'ListedSigningKey',
  keyShape.extend({
    liveTokens: z
      .int()
      .nullable()
      .describe("Tokens that it signed and that are live; null for a partner's people"),
  }),
);

const show = (key: SigningKeyRecord): z.input<typeof keyAnswer> => ({
  ...key,
  createdAt: toInstant(key.createdAt),
  activatesAt: toInstantOrNull(key.activatesAt),
  activatedAt: toInstantOrNull(key.activatedAt),
  replacedAt: toInstantOrNull(key.replacedAt),
  retiredAt: toInstantOrNull(key.retiredAt),
});

const showListed = ({ key, liveTokens }: ShownKey): z.input<typeof listedAnswer> => ({
  ...show(key),
  liveTokens,
});

export const KEY_ROUTES = [
  route({
    method: 'get',
    path: '/api/v1/keys',
    action: 'key.read',
    tag,
    summary: 'List the keys that sign tokens',
    description: 'All there ever were, newest first.',
    answer: pageOf(listedAnswer),
    handle: ({ broker, actorId }) => ({
      items: listSigningKeys(broker, actorId).map(showListed),
      next: null,
    }),
  }),
  route({
    method: 'post',
    path: '/api/v1/keys/rotate',
    action: 'key.rotate',
    tag,
    summary: 'Have a new key sign tokens',
    description:
      'It is published at once and signs once everybody can know it; the old one retires when its last token has expired. Refused while a new key waits, unless "now".',
    body: z.strictObject({
      now: z
        .boolean()
        .default(false)
        .describe('true: the key that waits, or a new one, signs at once'),
    }),
    answer: keyAnswer,
    handle: async ({ broker, actorId, body }) =>
      show(await rotateSigningKeys(broker, actorId, body)),
  }),
  route({
    method: 'post',
    path: '/api/v1/keys/:kid/retire',
    action: 'key.retire',
    tag,
    summary: 'Retire a key at once',
    description:
      'For one that may have leaked. When this returns, its tokens have ended, their streams are cut, and another key signs.',
    params: z.strictObject({
      kid: z.string().regex(/^[A-Za-z0-9_-]{43}$/, 'must be the id of a key (kid)'),
    }),
    body: z.strictObject({ grounds: proseSchema.describe('Why; kept in the record') }),
    answer: z.object({
      key: keyAnswer,
      activeKid: z.string().describe('The key that signs now'),
      tokensEnded: z.int().describe('Live tokens that ended'),
    }),
    handle: async ({ broker, actorId, params: { kid }, body }) => {
      const { key, ...rest } = await retireSigningKey(broker, actorId, kid, body.grounds);
      return { key: show(key), ...rest };
    },
  }),
];
