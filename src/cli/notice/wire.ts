/** What the API answers about notices, as far as commands read it. */
import { z } from 'zod';

export const noticeSchema = z.looseObject({
  id: z.string(),
  at: z.string(),
  kind: z.string(),
  ref: z.string(),
  lab: z.string(),
  person: z.string().nullable(),
  title: z.string(),
  data: z.record(z.string(), z.unknown()),
  acknowledgedBy: z.array(z.looseObject({ person: z.string(), at: z.string() })),
  unread: z.boolean(),
});
export type Notice = z.infer<typeof noticeSchema>;

export const deliverySchema = z.looseObject({
  id: z.string(),
  notice: z.string(),
  kind: z.string(),
  channel: z.string(),
  state: z.string(),
  attempts: z.number(),
  nextAt: z.string().nullable(),
  endedAt: z.string().nullable(),
  failure: z
    .looseObject({ code: z.string(), status: z.number().nullable(), at: z.string() })
    .nullable(),
});

export const replayedSchema = z.looseObject({ replayed: z.array(z.string()), more: z.boolean() });
