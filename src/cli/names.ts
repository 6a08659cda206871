/** Names beside ids: of the people, labs and grants that the caller may see, as the broker lists them to this caller. */
import { z } from 'zod';
import type { BrokerClient } from './broker-client.ts';
import { CliError } from './problems.ts';
import { grantSchema, labSchema, personSchema } from './wire.ts';

/** Puts its name beside each id in a text that has one: "Ada Lindqvist (per_01…)". */
export type Named = <T extends string | null | undefined>(text: T) => T | string;

/** Leaves ids alone. */
export const unnamed: Named = (text) => text;

const IDS = /\b(per|lab|grt)_[0-9a-z]{26}\b/g;

const titled = z.looseObject({
  id: z.string(),
  spec: grantSchema.shape.spec.pick({ title: true }),
});

/**
 * Reads the names for what is to be shown. An ornament: where they cannot be had, ids stand alone.
 *
 * @param shown any ids in it are looked for
 */
export async function namesFor(broker: BrokerClient, shown: unknown): Promise<Named> {
  const kinds = new Set([...JSON.stringify(shown).matchAll(IDS)].map(([, kind]) => kind));
  try {
    const [labs, people, grants] = await Promise.all([
      kinds.has('lab') ? broker.list('/labs', labSchema, MOST) : NONE,
      kinds.has('per') ? broker.list('/people', personSchema, MOST) : NONE,
      kinds.has('grt') ? broker.list('/grants', titled, MOST) : NONE,
    ]);
    const names = new Map([
      ...[...labs.items, ...people.items].map(({ id, name }) => [id, name] as const),
      ...grants.items.map(({ id, spec }) => [id, spec.title] as const),
    ]);
    const named = (id: string): string => {
      const name = names.get(id);
      return name === undefined ? id : `${name} (${id})`;
    };
    return (text) => (typeof text === 'string' ? text.replaceAll(IDS, named) : text);
  } catch (error) {
    if (error instanceof CliError) return unnamed;
    throw error;
  }
}

const MOST = 1_000;
const NONE = { items: [] };
