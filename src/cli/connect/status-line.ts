/** One line that says how the run goes. */
import { counted } from '../output.ts';
import { LEVEL } from '../../core/orders/order.ts';
import { selectorInWords } from '../../core/orders/selector.ts';
import type { Order } from '../wire.ts';
import type { RateLimits } from './rate-limits.ts';
import type { Standing } from './standing.ts';
import type { HeldToken } from './token-keeper.ts';

export interface RunState {
  /** Requests of this run, and those of them under way. */
  total: number;
  running: number;
  /** Those that wait here for limits. */
  waiting: number;
  limits: RateLimits | undefined;
  /** Undefined until the broker has told. */
  standing: Standing | undefined;
  token: Pick<HeldToken, 'expiresAt' | 'renewAt'> | undefined;
}

/** @param now epoch milliseconds */
export function statusLine(state: RunState, now: number): string {
  const { total, running, waiting, standing, limits, token } = state;
  const underWay = [
    ...(running > 0 ? [`${running} running`] : []),
    ...(waiting > 0 ? [`${waiting} waiting`] : []),
  ];
  const parts = [
    `${counted(total, 'request')}${underWay.length > 0 ? ` (${underWay.join(', ')})` : ''}`,
  ];
  if (standing) {
    const { tokensUsed, tokensLeft } = standing;
    const left = tokensLeft === undefined ? 'no cap' : `${count(tokensLeft)} left`;
    parts.push(`grant: ${counted(tokensUsed, 'token')} used, ${left}`);
    if (standing.status !== 'active') parts.push(`grant ${standing.status}`);
  }
  for (const what of ['requests', 'tokens'] as const) {
    const limit = limits?.[what];
    if (limit) parts.push(`${count(limit.remaining)} of ${count(limit.limit)} ${what}/min left`);
  }
  parts.push(tokenPart(token, now));
  parts.push(...(standing?.orders ?? []).map(orderInWords));
  return parts.join(' | ');
}

/** An order that touches the grant. */
export function orderInWords({ id, level, selector, grounds }: Order): string {
  const does = level >= LEVEL.suspend_narrowly ? 'stops' : 'is about';
  return `ORDER ${id}, level ${level}, ${does} ${selectorInWords(selector)}: ${grounds}`;
}

function tokenPart(token: RunState['token'], now: number): string {
  if (!token || token.expiresAt <= now) return 'no token';
  if (token.renewAt === undefined) return `access ends in ${inWords(token.expiresAt - now)}`;
  return `token renewed in ${inWords(token.renewAt - now)}`;
}

function inWords(ms: number): string {
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

const count = (value: number): string => value.toLocaleString('en-US');
