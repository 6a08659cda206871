/** Parsers of arguments and options: what is wrong is said before anything is sent. */
import { InvalidArgumentError } from 'commander';
import { idSchema } from '../core/ids.ts';
import { subjectSchema } from '../core/people.ts';

type IdPrefix = Parameters<typeof idSchema>[0];

/** An id of one kind of thing. */
export function id(prefix: IdPrefix): (text: string) => string {
  const schema = idSchema(prefix);
  return (text) => {
    const parsed = schema.safeParse(text);
    if (parsed.success) return parsed.data;
    throw new InvalidArgumentError(`It ${parsed.error.issues[0]?.message ?? 'is not valid'}.`);
  };
}

/** What a lab calls one of its people. */
export function subject(text: string): string {
  const parsed = subjectSchema.safeParse(text);
  if (parsed.success) return parsed.data;
  throw new InvalidArgumentError(`It ${parsed.error.issues[0]?.message ?? 'is not valid'}.`);
}

/** A whole number from `least` on. */
export function wholeNumber(least: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= least) return value;
    throw new InvalidArgumentError(`It must be a whole number from ${least} on.`);
  };
}

/** Gathers an option that may be given several times. */
export function several(text: string, before: string[] = []): string[] {
  return [...before, text];
}

/** Gathers `name=value` pairs of an option that may be given several times. */
export function pairs(text: string, before: Record<string, string> = {}): Record<string, string> {
  const at = text.indexOf('=');
  const name = text.slice(0, at).trim();
  if (at < 1 || name === '') throw new InvalidArgumentError('It has the form name=value.');
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
