/** What the gateway needs to know about a vendor's API. One object per proxied operation. */
import type { Refusal } from '../../core/denials.ts';
import type { Inspection, JsonObject } from '../../core/scope/inspection.ts';
import type { Dialect as DialectName, Operation } from '../../core/vocabulary.ts';

/** Tokens that an upstream reports. */
export interface ReportedUsage {
  inputTokens: number;
  outputTokens: number;
}

/** What becomes of an event of a stream: passed on, kept back, or passed on as the last one. */
type Verdict = 'pass' | 'drop' | 'terminal' | 'error';

/** Looks at each event of one stream, and picks up what it needs. */
export interface StreamScanner {
  see(event: Buffer): Verdict;
  /** As reported so far. */
  usage(): Partial<ReportedUsage>;
  /** The model that answered, once it was named. */
  model(): string | undefined;
}

interface DispatchOptions {
  /** Goes into the body where the request names no maximum. */
  maxOutputTokens: number;
  /** The endpoint's name for that field. */
  maxOutputTokensField: 'max_tokens' | 'max_completion_tokens';
}

export interface Dialect {
  name: DialectName;
  operation: Exclude<Operation, 'models'>;
  /** Below the origin, for clients and upstreams alike. */
  path: string;
  /** Query parameters that are passed on, with the values they may have. */
  query: Record<string, string>;
  /** Header that lists beta features, each of which a grant names or not. */
  betaHeader: string;
  inspect(body: JsonObject): Inspection;
  /** The object that is checked, counted and dispatched: the request with what the gateway adds. */
  prepare(body: JsonObject, options: DispatchOptions): JsonObject;
  /** Request headers for the upstream that depend on the client's. */
  headers(client: Record<string, string | string[] | undefined>): Record<string, string>;
  authorise(credential: string): Record<string, string>;
  /** @param body the client's, before `prepare` */
  scanner(body: JsonObject): StreamScanner;
  usageOf(answer: JsonObject): ReportedUsage | null;
  /** An event that makes the vendor's SDK raise. */
  errorEvent(why: Refusal, requestId: string): string;
  rateLimitHeaders(limits: LimitHeaders, now: number): Record<string, string>;
}

export interface LimitHeaders {
  requests: { limit: number; remaining: number; resetMs: number } | null;
  tokens: { limit: number; remaining: number; resetMs: number } | null;
}

/** Parses what should be JSON; undefined where it is not an object. */
export function parseObject(text: string): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as JsonObject)
      : undefined;
  } catch {
    return undefined;
  }
}

/** No request uses more; a greater number is not a count, and could not be priced. */
const MOST_TOKENS = 1_000_000_000;

/** A count of tokens as an upstream reports it, or undefined for anything that is not one. */
export function countOf(value: unknown): number | undefined {
  if (!Number.isSafeInteger(value)) return undefined;
  const count = value as number;
  return count >= 0 && count <= MOST_TOKENS ? count : undefined;
}
