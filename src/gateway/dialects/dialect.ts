/** What the gateway needs to know about a vendor's API, whatever the operation. */
import type { Refusal } from '../../core/denials.ts';
import type { Dialect as DialectName } from '../../core/vocabulary.ts';
import type { HeaderList } from '../answer-head.ts';

export interface Dialect {
  name: DialectName;
  /** Header that lists beta features, each of which a grant names or not. */
  betaHeader: string;
  /** Request headers for the upstream that depend on the client's. */
  headers(client: Record<string, string | string[] | undefined>): HeaderList;
  authorise(this: void, credential: string): HeaderList;
  /** An event that makes the vendor's SDK raise. */
  errorEvent(why: Refusal, requestId: string): string;
  rateLimitHeaders(limits: LimitHeaders, now: number): HeaderList;
}

export interface LimitHeaders {
  requests: { limit: number; remaining: number; resetMs: number } | null;
  tokens: { limit: number; remaining: number; resetMs: number } | null;
}
