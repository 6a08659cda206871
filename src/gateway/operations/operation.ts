/** What the gateway needs to know about an operation that it proxies. One object per path. */
import type { Inspection, JsonObject } from '../../core/scope/inspection.ts';
import type { Operation } from '../../core/vocabulary.ts';
import type { Dialect } from '../dialects/dialect.ts';

/** Tokens that an upstream reports. */
export interface ReportedUsage {
  inputTokens: number;
  outputTokens: number;
}

/**
 * What becomes of an event of a stream: passed on, kept back, or passed on as the last one. An `error` is one at
 * which the vendor's SDK raises; a `failure` says so in a way that the SDK does not hear, and is told in its place.
 */
type Verdict = 'pass' | 'drop' | 'terminal' | 'error' | 'failure';

/** Looks at each event of one stream, and picks up what it needs. */
export interface StreamScanner {
  /** Finds the strings in which new text comes, each part of it once (`textIn`). */
  readonly text: RegExp;
  /** @param event in Latin-1, a character for a byte: a first look decodes nothing */
  see(event: string): Verdict;
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
  /** Whether the upstream may keep state: where it may not, an API that does so by itself is told not to. */
  stateful: boolean;
}

export interface ProxiedOperation {
  name: Exclude<Operation, 'models'>;
  dialect: Dialect;
  /** Below the origin, for clients and upstreams alike. */
  path: string;
  /** Query parameters that are passed on, with the values they may have. */
  query: Record<string, string>;
  /** Values of the dialect's beta header that ask for no more than the operation itself. */
  betas?: readonly string[];
  /** What is reserved before and charged after: a request that generates nothing has no output, and counting is free. */
  charges: 'input and output' | 'input' | 'nothing';
  inspect(body: JsonObject): Inspection;
  /** The object that is checked, counted and dispatched: the request with what the gateway adds. */
  prepare(body: JsonObject, options: DispatchOptions): JsonObject;
  /** @param body the client's, before `prepare` */
  scanner(body: JsonObject): StreamScanner;
  usageOf(answer: JsonObject): ReportedUsage | null;
}

/** For operations without streams: their inspection never says that one was asked for. */
export function noStream(): never {
  throw new Error('This operation has no streams.');
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
