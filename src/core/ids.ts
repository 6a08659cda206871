/** The form of identifiers. They are minted in lib/ids.ts; here is how they are recognised. */
import { z } from 'zod';

const NAMES = {
  lab: 'a lab',
  per: 'a person',
  grt: 'a grant',
  ord: 'an order',
  tok: 'a token',
  req: 'a request',
  run: 'a run',
  inv: 'an invitation',
  ntc: 'a notice',
  dlv: 'a delivery',
  dsp: 'a dispute',
  inc: 'an incident',
  dty: 'a duty',
  exp: 'an export',
  tds: 'a destruction of transcripts',
} as const;

/** A schema for the id of one kind of thing. Whatever else a client sends as an id never reaches the store. */
export function idSchema(prefix: keyof typeof NAMES): z.ZodString {
  return z
    .string()
    .regex(
      new RegExp(`^${prefix}_[0-9a-z]{26}$`),
      `must be the id of ${NAMES[prefix]} (${prefix}_…)`,
    );
}
