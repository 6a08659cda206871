/** Reads bodies against tables of the fields that are known. What stands in no table is named as unknown. */
import type { Switch } from '../vocabulary.ts';
import {
  MalformedBody,
  listAt,
  objectAt,
  plainName,
  type Findings,
  type JsonObject,
} from './inspection.ts';

/** Looks at one value of a body, which is sound (`sound.ts`), and takes note of what it uses. */
export type Reader = (value: unknown, at: string, found: Findings) => void;

/** The fields that an object may have. A map, so that names which every object has are unknown, too. */
export type Fields = ReadonlyMap<string, Reader>;

export function fields(known: Record<string, Reader>): Fields {
  return new Map(Object.entries(known));
}

/** Fields that are read in the same way. */
export function each(names: readonly string[], read: Reader): Record<string, Reader> {
  return Object.fromEntries(names.map((name) => [name, read]));
}

/** Reads an object's fields; null is as good as absent. */
export function readFields(object: JsonObject, at: string, known: Fields, found: Findings): void {
  const inside = at === '' ? '' : `${at}.`;
  for (const field of Object.keys(object)) {
    const read = known.get(field);
    if (!read) found.unknown(inside + plainName(field));
    else if (object[field] !== null) read(object[field], inside + field, found);
  }
}

/** A text, a number, true or false: nothing that could hold more. */
export const plain: Reader = (value, at) => {
  if (typeof value === 'object')
    throw new MalformedBody(at, `"${at}" must be a text, a number, true or false.`);
};

/** The client's own data, such as a JSON schema or the arguments of a tool: it may have any keys. */
export const data: Reader = () => undefined;

export const listOf =
  (read: Reader): Reader =>
  (value, at, found) => {
    for (const [i, item] of listAt(value, at).entries()) read(item, `${at}.${i}`, found);
  };

export const object = (known: Record<string, Reader>): Reader => {
  const table = fields(known);
  return (value, at, found) => readFields(objectAt(value, at), at, table, found);
};

/** An object whose keys are the client's, such as the names of its tools. */
export const mapOf =
  (read: Reader): Reader =>
  (value, at, found) => {
    for (const [key, item] of Object.entries(objectAt(value, at)))
      read(item, `${at}.${plainName(key)}`, found);
  };

/** Uses a feature by being there. */
export const uses =
  (feature: Switch, read: Reader = plain): Reader =>
  (value, at, found) => {
    found.use(feature, at);
    read(value, at, found);
  };

/** A text in short, or something longer. */
export const textOr =
  (read: Reader): Reader =>
  (value, at, found) => {
    if (typeof value !== 'string') read(value, at, found);
  };

/** Values that change nothing. Any other is as unknown as a field can be. */
export const among =
  (...values: unknown[]): Reader =>
  (value, at, found) => {
    if (!values.includes(value)) found.unknown(at);
  };

/** What no table names is no mere field: nobody here could tell what it asks for, or costs. No grant passes it. */
export function refuseType(at: string): never {
  throw new MalformedBody(
    `${at}.type`,
    `"${at}.type" must be a type that this gateway knows. No grant passes any other on.`,
  );
}

/** An object whose `type` says which fields it has. */
export const byType = (
  readers: Record<string, Reader>,
  familyOf: (type: string) => string = (type) => type,
): Reader => {
  const table = fields(readers);
  return (value, at, found) => {
    const { type } = objectAt(value, at);
    const read = typeof type === 'string' ? table.get(familyOf(type)) : undefined;
    if (read) read(value, at, found);
    else refuseType(at);
  };
};

/** What is refused whatever the grant says of unknown fields, and why. */
export const never =
  (why: string): Reader =>
  (_value, at) => {
    throw new MalformedBody(at, `"${at}" ${why}`);
  };
