/** What an upstream says about trying again, in the form that every client understands. */
import type { HeaderList } from './answer-head.ts';
import type { UpstreamAnswer } from './upstream-answer.ts';

/** One SDK ignores longer waits, another stops retrying. */
const MOST_SECONDS = 60;

/**
 * `retry-after` as whole seconds from 1 to 60, whatever the upstream wrote; and `x-should-retry`. What it says of its
 * own limits stays here: clients would take them for ours.
 */
export function retryHints(answer: Pick<UpstreamAnswer, 'header'>, now: number): HeaderList {
  const hints: HeaderList = [];
  const ms = waitOf(answer, now);
  if (ms !== undefined)
    hints.push('retry-after', String(Math.min(MOST_SECONDS, Math.max(1, Math.ceil(ms / 1000)))));
  const [shouldRetry] = answer.header('x-should-retry');
  if (shouldRetry === 'true' || shouldRetry === 'false') hints.push('x-should-retry', shouldRetry);
  return hints;
}

const NUMBER = /^\d{1,9}(\.\d+)?$/;

function waitOf(answer: Pick<UpstreamAnswer, 'header'>, now: number): number | undefined {
  const [exact = ''] = answer.header('retry-after-ms');
  if (NUMBER.test(exact)) return Number(exact);
  const [after = ''] = answer.header('retry-after');
  if (NUMBER.test(after)) return Number(after) * 1000;
  // A date (RFC 9110, 10.2.3). What Date.parse would make of anything else is nobody's intention.
  const at = after.endsWith(' GMT') ? Date.parse(after) : NaN;
  return Number.isNaN(at) ? undefined : at - now;
}
