/** Parsers of arguments and options: what is wrong is said before anything is sent. */
import { InvalidArgumentError } from 'commander';
import { z } from 'zod';
import { idSchema } from '../core/ids.ts';
import { attributeNameSchema, nameSchema, subjectSchema } from '../core/people.ts';

type IdPrefix = Parameters<typeof idSchema>[0];

const instantSchema = z.iso.datetime({ offset: true });

/** An id of one kind of thing. */
export function id(prefix: IdPrefix): (text: string) => string {
  const schema = idSchema(prefix);
  return (text) => mustParse(schema, text);
}

function mustParse(schema: z.ZodType<string>, text: string): string {
  const { success, data, error } = schema.safeParse(text);
  if (success) return data;
  throw new InvalidArgumentError(`It ${error.issues[0]?.message ?? 'is not valid'}.`);
}

/** The id of a key of a person, or of one that signs tokens: its thumbprint (RFC 7638). */
export function kid(text: string): string {
  if (/^[A-Za-z0-9_-]{43}$/.test(text)) return text;
  throw new InvalidArgumentError('It must be the whole id of a key, as it is listed.');
}

/** What a lab calls one of its people. */
export const subject = (text: string): string => mustParse(subjectSchema, text);

/** The name of a lab or a person. */
export const displayName = (text: string): string => mustParse(nameSchema, notEmpty(text));

/** Any text but none: an empty variable of a script is not to select everything, or nothing. */
export function notEmpty(text: string): string {
  if (text !== '') return text;
  throw new InvalidArgumentError('It must not be empty.');
}

/** A whole number from `least` on. */
export function wholeNumber(least: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= least) return value;
    throw new InvalidArgumentError(`It must be a whole number from ${least} on.`);
  };
}

/** A length of time in whole hours: "72h" or "3d". */
export function hours(least: number, most: number): (text: string) => number {
  return (text) => {
    const [, count = '', unit] = /^(\d{1,4})(h|d)$/.exec(text) ?? [];
    const value = count === '' ? Number.NaN : Number(count) * (unit === 'd' ? 24 : 1);
    if (value >= least && value <= most) return value;
    throw new InvalidArgumentError(`It has the form 72h or 3d, from ${least}h to ${most}h.`);
  };
}

/** A moment, RFC 3339. */
export function instant(text: string): string {
  const parsed = instantSchema.safeParse(text);
  if (parsed.success) return parsed.data;
  throw new InvalidArgumentError('It is a moment such as 2027-01-31T12:00:00Z.');
}

/** Gathers an option that may be given several times. */
export function several(text: string, before: string[] = []): string[] {
  return [...before, text];
}

/** Gathers the `name=value` pairs that are known of a person, from an option that may be given several times. */
export function pairs(text: string, before: Record<string, string> = {}): Record<string, string> {
  const at = text.indexOf('=');
  const given = text.slice(0, at).trim();
  if (at < 1 || given === '') throw new InvalidArgumentError('It has the form name=value.');
  const { success, data: name, error } = attributeNameSchema.safeParse(given);
  if (!success)
    throw new InvalidArgumentError(`The name ${error.issues[0]?.message ?? 'is not valid'}.`);
  if (Object.hasOwn(before, name)) throw new InvalidArgumentError(`It gives "${name}" twice.`);
  return { ...before, [name]: text.slice(at + 1) };
}

/** Gathers words out of a closed list. */
export function oneOfSeveral(
  allowed: readonly string[],
): (text: string, before?: string[]) => string[] {
  return (text, before = []) => {
    if (!allowed.includes(text))
      throw new InvalidArgumentError(`Allowed are ${allowed.join(', ')}.`);
    return before.includes(text) ? before : [...before, text];
  };
}

/** Gathers ids of one kind of thing. */
export function severalIds(prefix: IdPrefix): (text: string, before?: string[]) => string[] {
  const parse = id(prefix);
  return (text, before = []) => [...before, parse(text)];
}

/** Gathers whole numbers from `least` on. */
export function severalNumbers(least: number): (text: string, before?: number[]) => number[] {
  const parse = wholeNumber(least);
  return (text, before = []) => [...before, parse(text)];
}

/** A UTC day, such as `2026-05-31`. */
export function day(text: string): string {
  if (z.iso.date().safeParse(text).success) return text;
  throw new InvalidArgumentError('It must be a UTC day, such as 2026-05-31.');
}
