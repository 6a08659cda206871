/** Limits while orders scale them. */
import type { Limits, ScopeCaps } from '../limits.ts';
import type { Effect } from './effect.ts';
import { partsOf } from './selector.ts';

type Caps = [grant: ScopeCaps, person: ScopeCaps];

/**
 * The caps of a request as orders scale them. An order about people, runs or tokens scales what each person has, which is
 * the grant's where nothing is said of each; any other scales the grant, too. Budgets are as they were: they are not what
 * is wrong.
 */
export function scaledCaps([grant, person]: Caps, scales: Effect['scales']): Caps {
  if (scales.length === 0) return [grant, person];
  const least = (some: Effect['scales']): number =>
    some.reduce((percent, scale) => Math.min(percent, scale.percent), 100);
  const wide = scales.filter(({ order }) => {
    const { person: one, attributes, run, token } = partsOf(order.selector);
    return [one, attributes, run, token].every((part) => part === undefined);
  });
  const own = lesser(person.limits, grant.limits);
  return [
    { ...grant, limits: scaled(grant.limits, least(wide)) },
    { ...person, limits: scaled(own, least(scales)) },
  ];
}

const NAMES = ['requestsPerMinute', 'tokensPerMinute', 'concurrent'] as const;

function lesser(one: Limits, other: Limits): Limits {
  const limits = { ...one };
  for (const name of NAMES) {
    const least = Math.min(one[name] ?? Infinity, other[name] ?? Infinity);
    limits[name] = least === Infinity ? null : least;
  }
  return limits;
}

/** Never to nothing: what is to stop is stopped by an order of level 3 and up. */
function scaled(limits: Limits, percent: number): Limits {
  const less = { ...limits };
  for (const name of NAMES) {
    const limit = limits[name];
    if (limit !== null) less[name] = Math.max(1, Math.floor((limit * percent) / 100));
  }
  return less;
}
