/** What the configuration says of access, whatever grants and orders say: what is never granted, and what puts safeguards back. */
import type { Endpoint, EndpointAlternative } from './endpoints.ts';
import { NOTHING_EXCLUDED, type Exclusions } from './exclusions.ts';

/** What an alternative puts back, and for which of the endpoint's models. */
export type PutsBack = Pick<EndpointAlternative, 'restores' | 'models'>;

export interface Configured {
  /** What is never granted. */
  excluded: Exclusions;
  /** By endpoint, what puts safeguards back there. */
  putsBack: ReadonlyMap<string, readonly PutsBack[]>;
}

export const NOTHING_CONFIGURED: Configured = { excluded: NOTHING_EXCLUDED, putsBack: new Map() };

/** What a configuration comes to. */
export const configuredBy = (
  excluded: Exclusions,
  endpoints: readonly Pick<Endpoint, 'id' | 'alternatives'>[],
): Configured => ({
  excluded,
  putsBack: new Map(endpoints.map(({ id, alternatives }) => [id, alternatives])),
});

/** The first alternative that puts back each of some safeguards for a model; undefined: none does. */
export function alternativeWith<T extends PutsBack>(
  alternatives: readonly T[],
  model: string,
  safeguards: readonly string[],
): T | undefined {
  // An alternative that does not name the model puts nothing back for it.
  return alternatives.find(
    ({ restores, models }) =>
      Object.hasOwn(models, model) && safeguards.every((one) => restores.includes(one)),
  );
}

/** Whether something puts back each of some safeguards for a model of an endpoint. */
export const canPutBack = (
  { putsBack }: Configured,
  endpoint: string,
  model: string,
  safeguards: readonly string[],
): boolean => alternativeWith(putsBack.get(endpoint) ?? [], model, safeguards) !== undefined;
