/** Facts about a person that hold for a time. */
import type { Person } from './people.ts';

/**
 * What an attribute of a person says at a moment; undefined where it is not known, or no longer.
 *
 * @param now epoch milliseconds
 */
export function attributeOf(person: Person, name: string, _now: number): string | undefined {
  return Object.hasOwn(person.attributes, name) ? person.attributes[name] : undefined;
}
