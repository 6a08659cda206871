/** What the configuration offers, and what a grant names of it. */
import type { GrantSpec } from './grants.ts';

interface Offered {
  id: string;
  models: readonly string[];
}

/** What a text names that is not offered, in a sentence; undefined where it names nothing else. */
export function notOffered(
  endpoints: readonly Offered[],
  spec: Pick<GrantSpec, 'endpoints'>,
): string | undefined {
  for (const { endpoint: named, models } of spec.endpoints) {
    const endpoint = endpoints.find(({ id }) => id === named);
    if (!endpoint)
      return `There is no endpoint "${named}". There are: ${endpoints.map(({ id }) => id).join(', ')}.`;
    const missing = models.filter((model) => !endpoint.models.includes(model));
    if (missing.length > 0)
      return `The endpoint "${named}" does not offer ${missing.join(', ')}. It offers: ${endpoint.models.join(', ')}.`;
  }
  return undefined;
}
