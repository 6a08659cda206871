/** Handing access back: which places on grants somebody still has to give up. */
import { rosterOf, type Grant, type GrantState } from './grants.ts';

/** Nothing can come of a grant in these states any more. */
export const ENDED_STATES: readonly GrantState[] = ['rejected', 'revoked', 'closed'];

/** Whether a grant has a place for somebody, which they have not given up. */
export function hasPlaceOn(grant: Grant, personId: string): boolean {
  return rosterOf(grant).some((place) => place.personId === personId);
}

/**
 * The grants on which somebody has a place that is, or can yet become, of use. A draft's window can still
 * be moved; that of a grant in force cannot.
 *
 * @param now epoch milliseconds
 */
export function placesOf(grants: readonly Grant[], personId: string, now: number): Grant[] {
  return grants.filter(
    (grant) =>
      hasPlaceOn(grant, personId) &&
      !ENDED_STATES.includes(grant.state) &&
      !(grant.state === 'active' && Date.parse(grant.spec.window.until) <= now),
  );
}
