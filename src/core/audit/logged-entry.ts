/** Entries as they stand in the log, read back. */
import { z } from 'zod';

const loggedEntrySchema = z.object({
  v: z.literal(1),
  index: z.int().min(0),
  kind: z.string(),
  at: z.iso.datetime().transform((text) => Date.parse(text)),
  committedAt: z.iso.datetime().transform((text) => Date.parse(text)),
  actor: z.union([
    z.object({ person: z.string(), lab: z.string() }),
    z.object({ system: z.literal('broker') }),
  ]),
  ref: z.string().optional(),
  lab: z.string().optional(),
  person: z.string().optional(),
  grant: z.string().optional(),
  grantVersion: z.int().optional(),
  token: z.string().optional(),
  purpose: z.string().optional(),
  run: z.string().optional(),
  reason: z.string().optional(),
  data: z.record(z.string(), z.unknown()).default({}),
});

/** What replaying looks at. Times are epoch milliseconds. */
export type LoggedEntry = z.infer<typeof loggedEntrySchema>;

/**
 * Reads an entry from the bytes that are its leaf.
 *
 * @returns undefined where this is no entry that this version can read
 */
export function parseLoggedEntry(bytes: Uint8Array): LoggedEntry | undefined {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return undefined;
  }
  return loggedEntrySchema.safeParse(value).data;
}

/** An entry does not say what it takes to know what it changed. The message says what is not known for it. */
export class Gap extends Error {}

/** A part that every entry of its kind has. @throws Gap */
export function mustHave<K extends 'ref' | 'lab' | 'person' | 'grant' | 'token' | 'grantVersion'>(
  entry: LoggedEntry,
  part: K,
): Exclude<LoggedEntry[K], undefined> {
  const value: LoggedEntry[K] | undefined = entry[part];
  if (value === undefined) throw new Gap(`It has no "${part}".`);
  return value as Exclude<LoggedEntry[K], undefined>;
}

/** The data of an entry as they must be. @throws Gap */
export function dataOf<T extends z.ZodType>(entry: LoggedEntry, schema: T): z.infer<T> {
  const { data, error } = schema.safeParse(entry.data);
  if (!error) return data;
  const [issue] = error.issues;
  throw new Gap(`Its data are not as they should be: ${issue?.path.join('.')} ${issue?.message}.`);
}

/** Who did it, where it was a person. @throws Gap */
export function actingPerson({ actor }: LoggedEntry): { person: string; lab: string } {
  if ('system' in actor) throw new Gap('It names no person who did it.');
  return actor;
}

/** A moment as entries say it, as epoch milliseconds. */
export const momentSchema = z.iso.datetime({ offset: true }).transform((text) => Date.parse(text));
