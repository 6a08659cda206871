/**
 * Where notices go out, besides the API: webhooks and e-mail. Channels come from the configuration file, never from
 * the API: whoever chose the address could have the broker call any machine that it reaches.
 */
import { z } from 'zod';
import { credentialSchema } from './endpoints.ts';
import { idSchema } from './ids.ts';
import { isTrustworthyUrl } from './lab-identity.ts';
import { isLoopback } from './loopback.ts';
import { NOTICE_KINDS, type Notice, type NoticeKind } from './notices.ts';
import { slugSchema } from './vocabulary.ts';

const channelShape = {
  id: slugSchema.describe('Its name in lists and metrics; deliveries that wait belong to it'),
  lab: idSchema('lab')
    .optional()
    .describe('The lab whose notices go out here; default: the host lab'),
  person: idSchema('per')
    .optional()
    .describe("Only what is addressed to this person of the lab; default: what is the lab's"),
  kinds: z
    .array(z.enum(NOTICE_KINDS, { error: `must each be one of ${NOTICE_KINDS.join(', ')}` }))
    .min(1)
    .optional()
    .describe('Only notices of these kinds; default: all'),
};

const secretSchema = credentialSchema.describe('Where the secret is read from; never the secret');

const webhookSchema = z.strictObject({
  ...channelShape,
  url: z
    .url({ protocol: /^https?$/, error: 'must be an https:// URL', abort: true })
    .refine((text) => {
      const { username, password, hash } = new URL(text);
      return `${username}${password}${hash}` === '';
    }, 'must have no user, password or fragment: the receiver knows us by the signature'),
  secret: secretSchema,
});

/** An address as it stands in an envelope: no name, no comment, nothing that could begin another header. */
const addressSchema = z.email('must be an e-mail address such as safety@lab.example').max(254);

const smtpSchema = z
  .strictObject({
    host: z
      .string()
      .regex(/^[A-Za-z0-9.:_-]{1,255}$/, 'must be the name or address of a mail server'),
    port: z.int().min(1).max(65_535).default(587),
    secure: z.boolean().default(false),
    user: z.string().min(1).max(255).optional(),
    password: secretSchema.optional(),
  })
  .refine(
    ({ user, password }) => (user === undefined) === (password === undefined),
    'must name user and password together, or neither',
  );

const emailSchema = z.strictObject({
  smtp: smtpSchema,
  from: addressSchema,
  to: z
    .array(z.strictObject({ ...channelShape, address: addressSchema }))
    .min(1)
    .max(64),
});

/** The option `notices` of the configuration. */
export const noticeChannelsSchema = z
  .strictObject({
    webhooks: z.array(webhookSchema).max(64).default([]),
    email: emailSchema.optional(),
    allowInsecureLoopback: z.boolean().default(false),
  })
  .superRefine(({ webhooks, email, allowInsecureLoopback }, context) => {
    const fail = (path: (string | number)[], message: string): void =>
      context.addIssue({ code: 'custom', path, message });
    for (const [i, { url }] of webhooks.entries()) {
      if (isTrustworthyUrl(url, allowInsecureLoopback)) continue;
      fail(
        ['webhooks', i, 'url'],
        'must be https: notices would travel in the clear. http is only for receivers on this machine, with notices.allowInsecureLoopback',
      );
    }
    const seen = new Set<string>();
    const once = (id: string, path: (string | number)[]): void => {
      if (seen.has(id)) fail(path, `"${id}" is used twice`);
      seen.add(id);
    };
    for (const [i, { id }] of webhooks.entries()) once(id, ['webhooks', i, 'id']);
    for (const [i, { id }] of (email?.to ?? []).entries()) once(id, ['email', 'to', i, 'id']);
  });

export type NoticeChannels = z.infer<typeof noticeChannelsSchema>;
export type WebhookChannel = NoticeChannels['webhooks'][number];
export type SmtpSettings = NonNullable<NoticeChannels['email']>['smtp'];

/** What decides which notices go out through a channel. */
export interface NoticeChannel {
  id: string;
  lab?: string | undefined;
  person?: string | undefined;
  kinds?: NoticeKind[] | undefined;
}

/** The channels of a configuration, without addresses and secrets. */
export function channelsOf({ webhooks, email }: NoticeChannels): NoticeChannel[] {
  return [...webhooks, ...(email?.to ?? [])].map(({ id, lab, person, kinds }) => ({
    id,
    lab,
    person,
    kinds,
  }));
}

/** Whether a notice goes out through a channel. */
export function goesOutThrough(
  channel: NoticeChannel,
  { kind, labId, personId }: Pick<Notice, 'kind' | 'labId' | 'personId'>,
  hostLabId: string,
): boolean {
  return (
    labId === (channel.lab ?? hostLabId) &&
    personId === (channel.person ?? null) &&
    (channel.kinds?.includes(kind) ?? true)
  );
}

/** Whether mail may go to a server in the clear: only where it does not leave the machine. */
export const mayBeInTheClear = ({ host }: Pick<SmtpSettings, 'host'>): boolean => isLoopback(host);
