/** What an order is about: everything, or all that matches every part that is given. */
import { z } from 'zod';
import { idSchema } from '../ids.ts';
import { isInNetworks, networkSchema } from '../networks.ts';
import { attributeNameSchema, type Person } from '../people.ts';
import { SWITCHES, modelSchema, purposeSchema, slugSchema, type Switch } from '../vocabulary.ts';

const attributeSchema = z.strictObject({
  name: attributeNameSchema,
  is: z.array(z.string().max(500)).min(1).max(64).describe('Any of these values'),
  unknown: z
    .enum(['matches', 'spared'])
    .default('matches')
    .describe('Whether it is about those, too, of whom the attribute is not known'),
});

export type AttributeCondition = z.infer<typeof attributeSchema>;

export const partsSchema = z
  .strictObject({
    lab: idSchema('lab').optional(),
    grant: idSchema('grt').optional(),
    endpoint: slugSchema.optional(),
    model: modelSchema.optional(),
    safeguard: z
      .string()
      .min(1)
      .max(120)
      .optional()
      .describe('Wherever this safeguard is lifted, by the configuration'),
    person: idSchema('per').optional(),
    attributes: z
      .array(attributeSchema)
      .min(1)
      .max(8)
      .optional()
      .describe('Everyone of whom all of these hold'),
    purpose: purposeSchema.optional(),
    run: idSchema('run').optional(),
    feature: z
      .enum(Object.keys(SWITCHES) as [Switch, ...Switch[]])
      .optional()
      .describe('Requests that use it'),
    network: networkSchema.optional().describe('Requests from addresses in it (CIDR)'),
    token: idSchema('tok').optional(),
  })
  .refine((parts) => Object.values(parts).some((part) => part !== undefined), {
    message: 'must name at least one part, or be {"all": true}',
  });

export const selectorSchema = z
  .union([z.strictObject({ all: z.literal(true) }), partsSchema])
  .describe(
    'What it is about: all that matches every part that is given; or everything, as {"all": true}',
  );

export type Selector = z.infer<typeof selectorSchema>;
export type SelectorParts = z.infer<typeof partsSchema>;
export type SelectorPart = keyof SelectorParts;

/** The parts of a selector; none, where it is about everything. */
export const partsOf = (selector: Selector): SelectorParts => ('all' in selector ? {} : selector);

/** What an order is held against. A subject may lack a part: a grant as a whole names no person. */
export interface OrderSubject {
  grantId: string;
  labId: string;
  person?: Person | undefined;
  endpoint?: string | undefined;
  model?: string | undefined;
  purpose?: string | undefined;
  runId?: string | undefined;
  /** Features that a request uses. */
  features?: readonly string[] | undefined;
  /** Address that a request came from. */
  address?: string | undefined;
  tokenId?: string | undefined;
}

/** What a selector is compared with, once it is known where its safeguard is lifted. */
export interface Selecting {
  selector: Selector;
  /** Endpoints at which the selector's safeguard is lifted, by the configuration; null: it names none. */
  safeguardAt: readonly string[] | null;
}

/**
 * Whether a subject is one that a selector is about. A part that the subject lacks does not match: an order about a
 * person does not stop the grant as a whole.
 */
export function selects(selecting: Selecting, subject: OrderSubject): boolean {
  const { feature, purpose } = partsOf(selecting.selector);
  if (feature !== undefined && !subject.features?.includes(feature)) return false;
  if (purpose !== undefined && purpose !== subject.purpose) return false;
  return selectsBut(selecting, subject);
}

/** Whether every part of a selector matches, leaving aside feature and purpose. */
export function selectsBut({ selector, safeguardAt }: Selecting, subject: OrderSubject): boolean {
  if ('all' in selector) return true;
  const { lab, grant, endpoint, model, person, run, token, attributes, network } = selector;
  if (token !== undefined && token !== subject.tokenId) return false;
  if (run !== undefined && run !== subject.runId) return false;
  if (person !== undefined && person !== subject.person?.id) return false;
  if (grant !== undefined && grant !== subject.grantId) return false;
  if (lab !== undefined && lab !== subject.labId) return false;
  if (model !== undefined && model !== subject.model) return false;
  if (endpoint !== undefined && endpoint !== subject.endpoint) return false;
  if (safeguardAt !== null && !safeguardAt.includes(subject.endpoint ?? '')) return false;
  if (attributes !== undefined && !hasAll(subject.person, attributes)) return false;
  return (
    network === undefined ||
    (subject.address !== undefined && isInNetworks(subject.address, [network]))
  );
}

function hasAll(person: Person | undefined, conditions: readonly AttributeCondition[]): boolean {
  if (!person) return false;
  return conditions.every(({ name, is, unknown }) => {
    const { attributes } = person;
    if (!Object.hasOwn(attributes, name)) return unknown === 'matches';
    return is.includes(attributes[name] as string);
  });
}

/** Whether everything that the one is about, the other is about, too, as far as their texts tell. */
export function isWithinSelector(inner: Selector, outer: Selector): boolean {
  if ('all' in outer) return true;
  if ('all' in inner) return false;
  return (Object.keys(outer) as SelectorPart[]).every((part) => {
    if (outer[part] === undefined) return true;
    if (part !== 'attributes') return inner[part] === outer[part];
    return outer.attributes?.every((wide) =>
      inner.attributes?.some(
        (narrow) =>
          narrow.name === wide.name &&
          narrow.is.every((value) => wide.is.includes(value)) &&
          (narrow.unknown === 'spared' || wide.unknown === 'matches'),
      ),
    );
  });
}

/** What a selector is about, in words. */
export function selectorInWords(selector: Selector): string {
  if ('all' in selector) return 'everything';
  return (Object.keys(selector) as SelectorPart[])
    .filter((part) => selector[part] !== undefined)
    .map((part) =>
      part === 'attributes'
        ? (selector.attributes ?? []).map(conditionInWords).join(', ')
        : `${part} ${String(selector[part])}`,
    )
    .join(', ');
}

const conditionInWords = ({ name, is, unknown }: AttributeCondition): string =>
  `person attribute ${name}=${is.join('|')}${unknown === 'matches' ? ' or unknown' : ''}`;
