/** What stood at a moment, as the log tells: by the same functions that decide requests. */
import { grantStanding, type Standing } from '../access.ts';
import { rosterOf, type Grant, type RosterPlace } from '../grants.ts';
import type { Dispute } from '../orders/disputes.ts';
import { isInForce, type Order } from '../orders/order.ts';
import {
  grantOf,
  ordersOf,
  type LogGap,
  type Replayed,
  type ReplayedLab,
  type ReplayedPerson,
  type ReplayedRun,
  type ReplayedToken,
} from './replayed.ts';

/** Who may use a grant; nothing passes for those who were removed. */
interface ToldPlace extends RosterPlace {
  removed: boolean;
}

interface ToldGrant {
  grant: Grant;
  standing: Standing;
  roster: ToldPlace[];
}

export interface Told {
  /** Entries that it is made of. */
  entries: number;
  host: string | null;
  labs: ReplayedLab[];
  people: ReplayedPerson[];
  grants: ToldGrant[];
  /** In force at the moment, oldest first. */
  orders: Order[];
  /** Objections that nobody had decided. */
  disputes: Dispute[];
  tokens: ReplayedToken[];
  runs: ReplayedRun[];
  gaps: LogGap[];
}

/**
 * What the replayed entries say of a moment.
 *
 * @param now epoch milliseconds
 */
export function toldAt(state: Replayed, now: number): Told {
  const orders = ordersOf(state).filter((order) => isInForce(order, now));
  const gaps = [...state.gaps];
  const grants = [...state.grants.values()].flatMap((replayed): ToldGrant[] => {
    const grant = grantOf(replayed);
    if (!grant) {
      const why = `The text of ${replayed.id} is not in the log: nothing can be said of it.`;
      gaps.push({ index: state.size - 1, kind: 'grant', why });
      return [];
    }
    const standing = grantStanding(grant, orders, now, state.configured);
    const roster = rosterOf(grant).map((place) => ({
      ...place,
      removed: typeof state.people.get(place.personId)?.removedAt === 'number',
    }));
    return [{ grant, standing, roster }];
  });
  return {
    entries: state.size,
    host: state.host,
    labs: [...state.labs.values()],
    people: [...state.people.values()],
    grants,
    orders,
    disputes: [...state.disputes.values()].filter(({ decidedAt }) => decidedAt === null),
    tokens: [...state.tokens.values()].filter(({ expiresAt }) => expiresAt > now),
    runs: [...state.runs.values()],
    gaps,
  };
}
