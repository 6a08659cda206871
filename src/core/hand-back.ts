/** Handing access back: which places on grants somebody still has to give up. */
import { refusalOfEndedGrant } from './access.ts';
import { placeOf, type Grant } from './grants.ts';

/** Whether a grant has a place for somebody, which they have not given up: also one that they were taken off. */
export function hasPlaceOn(grant: Grant, personId: string): boolean {
  return placeOf({ ...grant, takenOff: [] }, personId) !== undefined;
}

/**
 * The grants on which somebody has a place that is, or can yet become, of use.
 *
 * @param now epoch milliseconds
 */
export function placesOf(grants: readonly Grant[], personId: string, now: number): Grant[] {
  return grants.filter(
    (grant) => hasPlaceOn(grant, personId) && refusalOfEndedGrant(grant, now) === null,
  );
}
