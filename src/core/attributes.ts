/** Attributes of people, as grants require them. */
import { z } from 'zod';
import { attributeNameSchema, type Person } from './people.ts';

export const requirementSchema = z.strictObject({
  name: attributeNameSchema,
  is: z
    .array(z.string().max(500))
    .min(1)
    .max(64)
    .optional()
    .describe('Any of these values. Without it: whatever it is'),
});

type Requirement = z.infer<typeof requirementSchema>;

/**
 * The value of an attribute at a moment; undefined where there is none, or where it has ended.
 *
 * @param now epoch milliseconds
 */
function attributeOf(person: Person, name: string, now: number): string | undefined {
  if (!Object.hasOwn(person.attributes, name)) return undefined;
  return now < endOf(person, name) ? person.attributes[name] : undefined;
}

const endOf = ({ attributesUntil }: Person, name: string): number =>
  Object.hasOwn(attributesUntil, name) ? (attributesUntil[name] as number) : Infinity;

/** The requirements that a person does not meet at a moment, epoch milliseconds. */
export function unmet(
  requirements: readonly Requirement[],
  person: Person,
  now: number,
): Requirement[] {
  return requirements.filter(({ name, is }) => {
    const value = attributeOf(person, name, now);
    return value === undefined || (is !== undefined && !is.includes(value));
  });
}

/** When the first of the attributes that are required of a person ends; Infinity where none does. */
export function requirementsEnd(requirements: readonly Requirement[], person: Person): number {
  return requirements.reduce((until, { name }) => Math.min(until, endOf(person, name)), Infinity);
}
