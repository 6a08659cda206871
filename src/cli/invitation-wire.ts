/** What the API answers about invitations, as far as commands read it (see wire.ts). */
import { z } from 'zod';

const time = z.string();
const names = z.array(z.string());

export const invitationSchema = z.looseObject({
  id: z.string(),
  lab: z.string(),
  name: z.string(),
  roles: names,
  grant: z.string().nullable(),
  state: z.string(),
  invitedBy: z.string(),
  expiresAt: time,
  joinedAs: z.string().nullable(),
});

/** An invitation just made: the one time that its link is shown. */
export const newInvitationSchema = invitationSchema.extend({ link: z.string() });

/** What an invitation says to whoever holds its link. */
export const offerSchema = z.looseObject({
  host: z.looseObject({ name: z.string() }),
  lab: z.looseObject({ id: z.string(), name: z.string() }),
  name: z.string(),
  roles: names,
  invitedBy: z.looseObject({ name: z.string() }),
  expiresAt: time,
  grant: z
    .looseObject({
      id: z.string(),
      title: z.string(),
      state: z.string(),
      window: z.looseObject({ from: time, until: time }),
      purposes: names,
      models: names,
      terms: z.looseObject({ version: z.string(), text: z.string() }),
      termsDigest: z.string(),
    })
    .nullable(),
});
export type Offer = z.infer<typeof offerSchema>;
