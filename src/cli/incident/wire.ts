/** What the API answers about incidents, as far as commands read it. */
import { z } from 'zod';

const done = { by: z.string(), at: z.string() };
const undone = z.looseObject({ ...done, grounds: z.string() }).nullable();

export const incidentSchema = z.looseObject({
  id: z.string(),
  revision: z.string(),
  title: z.string(),
  description: z.string().nullable(),
  state: z.string(),
  harms: z.array(z.looseObject({ kind: z.string(), within: z.string() })),
  awareAt: z.string(),
  openedBy: z.string(),
  openedAt: z.string(),
  nextDueAt: z.string().nullable(),
  overdue: z.boolean(),
});

/** An incident with all that belongs to it. */
export const wholeIncidentSchema = incidentSchema.extend({
  deadlines: z.array(
    z.looseObject({
      kind: z.string(),
      dueAt: z.string(),
      doneAt: z.string().nullable(),
      state: z.string(),
    }),
  ),
  corrections: z.array(
    z.looseObject({
      grounds: z.string(),
      awareBefore: z.string().nullable(),
      addedHarms: z.array(z.string()),
      ...done,
    }),
  ),
  links: z.array(
    z.looseObject({
      order: z.string().optional(),
      entry: z.number().optional(),
      comment: z.string().nullable(),
      ...done,
      removed: undone,
    }),
  ),
  findings: z.array(
    z.looseObject({
      n: z.number(),
      text: z.string(),
      evidence: z.string(),
      reference: z.string().optional(),
      sha256: z.string().optional(),
      ...done,
    }),
  ),
  reports: z.array(
    z.looseObject({
      n: z.number(),
      kind: z.string(),
      text: z.string(),
      to: z.array(z.string()),
      sentAt: z.string(),
      sha256: z.string().optional(),
      ...done,
    }),
  ),
  resolutions: z.array(
    z.looseObject({ resolvedAt: z.string(), text: z.string(), ...done, reopened: undone }),
  ),
});

export type WholeIncident = z.infer<typeof wholeIncidentSchema>;
