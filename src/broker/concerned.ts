/** Whom an order concerns. */
import { partsOf, type Selector } from '../core/orders/selector.ts';
import type { Concerned } from '../store/operations/orders.ts';
import type { Broker } from './broker.ts';

/** The partner labs that an order can touch, and the person that it names: whom its notices are for. */
export function concernedBy({ policy }: Broker, selector: Selector): Concerned {
  const { lab, grant, person, endpoint, model } = partsOf(selector);
  const named = person === undefined ? undefined : policy.person(person);
  if (named) return [{ labId: named.labId }, { labId: named.labId, personId: named.id }];
  const labs = new Set<string>();
  for (const { id, spec } of policy.grants()) {
    if (grant !== undefined && id !== grant) continue;
    if (lab !== undefined && spec.lab !== lab) continue;
    const covered = spec.endpoints.some(
      (entry) =>
        (endpoint === undefined || entry.endpoint === endpoint) &&
        (model === undefined || entry.models.includes(model)),
    );
    if (covered) labs.add(spec.lab);
  }
  return [...labs].map((labId) => ({ labId }));
}
