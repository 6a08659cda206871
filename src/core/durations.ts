/** Spans of time as rules are written in: hours, days, or working days. */
import { z } from 'zod';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** `72h`, `14d`, or `15wd` for working days: Monday to Friday, by the calendar of UTC. Holidays are not known here. */
export const durationSchema = z
  .string()
  .regex(
    /^[1-9][0-9]{0,3}(h|d|wd)$/,
    'must be a number of hours (72h), days (14d) or working days (15wd)',
  );

/**
 * The moment a span after another.
 *
 * @param from epoch milliseconds
 * @param span as {@link durationSchema} takes it
 */
export function after(from: number, span: string): number {
  const amount = Number.parseInt(span, 10);
  if (span.endsWith('wd')) return afterWorkingDays(from, amount);
  return from + amount * (span.endsWith('h') ? HOUR_MS : DAY_MS);
}

/** The same span before a moment. Working days count as days. */
export function before(until: number, span: string): number {
  return until - after(0, span.replace('wd', 'd'));
}

function afterWorkingDays(from: number, days: number): number {
  let moment = from;
  for (let left = days; left > 0;) {
    moment += DAY_MS;
    const weekday = new Date(moment).getUTCDay();
    if (weekday !== 0 && weekday !== 6) left -= 1;
  }
  return moment;
}
