/** The broker's refusals for a limit that refills soon: such a request may wait and be sent again. */
import type { Dispatcher } from 'undici';
import type { DenialCode } from '../../core/denials.ts';
import { single } from './headers.ts';
import type { PassedRefusal } from './tail.ts';

/** What makes room under a limit: that time passes, or that a request ends. */
export type Relief = 'time' | 'request';

export interface LimitRefusal extends PassedRefusal {
  relief: Relief;
  /** How long to wait, as the broker says. */
  afterMs: number;
}

/**
 * The gateway gives these when it reserves, and only then: nothing has been passed on or charged. Its other
 * refusals are final, or may come when something was.
 */
const RELIEF = {
  request_rate_limited: 'time',
  token_rate_limited: 'time',
  concurrency_limited: 'request',
  budget_in_use: 'request',
} as const satisfies Partial<Record<DenialCode, Relief>>;

const SECONDS = /^[1-9]\d?$/;

type Head = Pick<Dispatcher.ResponseData, 'statusCode' | 'headers'>;

/**
 * Whether an answer can be such a refusal, by its head. What an upstream says of its own limits is marked by the
 * gateway as the upstream's word, and was reached by the request.
 */
export function mayBeLimitRefusal({ statusCode, headers }: Head): boolean {
  return (
    statusCode === 429 &&
    headers['x-sallyport-source'] === undefined &&
    single(headers, 'x-should-retry') === 'true' &&
    SECONDS.test(single(headers, 'retry-after') ?? '')
  );
}

/** The limit that was refused for; undefined where the refusal is another one. */
export function limitRefusalOf(
  { headers }: Head,
  refusal: PassedRefusal | undefined,
): LimitRefusal | undefined {
  if (!refusal || !Object.hasOwn(RELIEF, refusal.code)) return undefined;
  const relief = RELIEF[refusal.code as keyof typeof RELIEF];
  return { ...refusal, relief, afterMs: Number(single(headers, 'retry-after')) * 1000 };
}
