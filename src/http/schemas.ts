/** Parts of what the API answers that several routes share, and what turns our records into them. */
import { zodToOpenAPIRegistry } from '@asteasolutions/zod-to-openapi';
import { z } from 'zod';
import type { Lab, LabIdentity, Person } from '../core/people.ts';
import { labKindSchema, roleSchema } from '../core/people.ts';

/** Gives a schema a name of its own in the OpenAPI document. */
export function named<T extends z.ZodType>(name: string, schema: T): T {
  zodToOpenAPIRegistry.add(schema, { _internal: { refId: name } });
  return schema;
}

export const instant = z.iso.datetime().describe('RFC 3339, UTC');

/** Epoch milliseconds as the API tells time. */
export const toInstant = (ms: number): string => new Date(ms).toISOString();

export const toInstantOrNull = (ms: number | null): string | null =>
  ms === null ? null : toInstant(ms);

const identityAnswer = named(
  'LabIdentity',
  z.object({
    issuer: z.string(),
    jwksUrl: z.string().nullable().describe('Where its keys are fetched from; null: they are here'),
    kids: z.array(z.string()).nullable().describe('The keys; null where they are fetched'),
    setAt: instant,
  }),
);

export const labAnswer = named(
  'Lab',
  z.object({
    id: z.string(),
    kind: labKindSchema,
    name: z.string(),
    createdAt: instant,
    identity: identityAnswer
      .nullable()
      .describe('What the lab signs for its people with; null: they have keys of their own'),
  }),
);

const showIdentity = (identity: LabIdentity): z.input<typeof identityAnswer> => ({
  issuer: identity.issuer,
  jwksUrl: identity.jwksUrl ?? null,
  kids: identity.jwks?.keys.flatMap(({ kid }) => kid ?? []) ?? null,
  setAt: toInstant(identity.setAt),
});

export const showLab = (lab: Lab): z.input<typeof labAnswer> => ({
  ...lab,
  createdAt: toInstant(lab.createdAt),
  identity: lab.identity && showIdentity(lab.identity),
});

export const personAnswer = named(
  'Person',
  z.object({
    id: z.string(),
    lab: z.string(),
    name: z.string(),
    roles: z.array(roleSchema),
    attributes: z.record(z.string(), z.string()),
    attributesUntil: z.record(z.string(), instant).describe('When some of them end'),
    attributesSet: z
      .record(z.string(), z.object({ by: z.string().nullable(), at: instant }))
      .describe(
        'Who gave each the value that it has, and when; null: it came with the first admin',
      ),
    subject: z
      .string()
      .nullable()
      .describe('What their own lab calls them in its assertions; null: their id'),
    keys: z
      .array(z.object({ kid: z.string().describe('RFC 7638 thumbprint'), addedAt: instant }))
      .describe('Keys in use'),
    createdAt: instant,
    removedAt: instant.nullable(),
  }),
);

export const showPerson = (person: Person): z.input<typeof personAnswer> => ({
  id: person.id,
  lab: person.labId,
  name: person.name,
  roles: person.roles,
  attributes: person.attributes,
  attributesUntil: Object.fromEntries(
    Object.entries(person.attributesUntil).map(([name, at]) => [name, toInstant(at)]),
  ),
  attributesSet: Object.fromEntries(
    Object.entries(person.attributesSet).map(([name, { by, at }]) => [
      name,
      { by, at: toInstant(at) },
    ]),
  ),
  subject: person.subject,
  keys: person.keys.map(({ kid, addedAt }) => ({ kid, addedAt: toInstant(addedAt) })),
  createdAt: toInstant(person.createdAt),
  removedAt: toInstantOrNull(person.removedAt),
});
