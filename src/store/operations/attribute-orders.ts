/** Attributes that orders in force are about. */
import { refuse } from '../../core/denials.ts';
import { LEVEL, ownEnd, type Order } from '../../core/orders/order.ts';
import { partsOf } from '../../core/orders/selector.ts';
import { decideLift } from '../../core/orders/steps.ts';
import type { Person } from '../../core/people.ts';
import type { WriterContext } from '../context.ts';
import { readGrant, readLab, readOrdersInForce } from '../records.ts';
import type { Authorised } from './operation.ts';
import { actingOn } from './order-parts.ts';

/**
 * Refuses to say something else of a person while an order with an effect is about it, unless the actor could lift that
 * order: whoever talks people out of an order lifts it. Which order it is, the lab need not be able to see.
 *
 * @param person also one who is about to be registered
 * @param names of the attributes that would be said
 * @param now epoch milliseconds
 */
export function mustNotLoosen(
  context: WriterContext,
  person: Pick<Person, 'id' | 'labId'>,
  names: readonly string[],
  who: Authorised,
  now: number,
): void {
  const isHeld = readOrdersInForce(context.db).some(
    (order) =>
      (ownEnd(order)?.at ?? Infinity) > now &&
      reaches(context, order, person, names) &&
      decideLift(order, actingOn(context, order, who), now) !== null,
  );
  if (isHeld) refuse('attribute_under_order');
}

/**
 * Attributes of a person that an order in force holds them by, and spares those of whom it is not known: while it does, their
 * end would lift the order for this person.
 *
 * @param names of the attributes that would go
 */
export function heldByOrders(
  context: WriterContext,
  person: Pick<Person, 'id' | 'labId' | 'attributes'>,
  names: readonly string[],
  now: number,
): string[] {
  const inForce = readOrdersInForce(context.db).filter(
    (order) => (ownEnd(order)?.at ?? Infinity) > now,
  );
  return names.filter((one) =>
    inForce.some(
      (order) =>
        reaches(context, order, person, [one]) &&
        partsOf(order.selector).attributes?.some(
          ({ name, is, unknown }) =>
            name === one && unknown === 'spared' && is.includes(person.attributes[one] ?? ''),
        ),
    ),
  );
}

/** Whether an order is about one of these attributes, and can be about this person. What partners order binds nobody else. */
function reaches(
  { db }: WriterContext,
  { level, selector, issuedByLab }: Order,
  { id, labId }: Pick<Person, 'id' | 'labId'>,
  names: readonly string[],
): boolean {
  const { attributes = [], lab, person, grant } = partsOf(selector);
  if (level < LEVEL.watch || !attributes.some(({ name }) => names.includes(name))) return false;
  if (lab !== undefined && lab !== labId) return false;
  if (person !== undefined && person !== id) return false;
  if (grant !== undefined && readGrant(db, grant)?.spec.lab !== labId) return false;
  return readLab(db, issuedByLab)?.kind !== 'partner' || issuedByLab === labId;
}
