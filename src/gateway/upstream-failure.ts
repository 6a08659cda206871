/** What can go wrong between us and an upstream, and what it means for the client. */
import { errors } from 'undici';
import { refusal, type Refusal } from '../core/denials.ts';

/** Why a call failed, and whether any of it can have reached the upstream. */
export class UpstreamFailure extends Error {
  readonly refusal: Refusal;
  readonly mayHaveArrived: boolean;

  constructor(why: Refusal, mayHaveArrived: boolean, cause?: unknown) {
    super(why.message, { cause });
    this.name = 'UpstreamFailure';
    this.refusal = why;
    this.mayHaveArrived = mayHaveArrived;
  }
}

/** Nothing of the request was processed: the upstream gave it back (RFC 9113, 8.7), or it never left. */
export class RequestRefused extends Error {
  readonly code: string;

  constructor(code = 'REFUSED_STREAM') {
    super(code);
    this.code = code;
  }
}

/** What a failure of the connection means. `sent`: a byte of the request may have left. */
export function failureOf(error: unknown, sent = true): UpstreamFailure {
  if (error instanceof UpstreamFailure) return error;
  if (!sent || error instanceof RequestRefused)
    return new UpstreamFailure(refusal('upstream_unreachable'), false, error);
  if (error instanceof errors.HeadersTimeoutError || error instanceof errors.BodyTimeoutError)
    return new UpstreamFailure(refusal('upstream_timeout'), true, error);
  if (error instanceof errors.HTTPParserError || error instanceof errors.HeadersOverflowError)
    return new UpstreamFailure(refusal('upstream_invalid'), true, error);
  return new UpstreamFailure(refusal('upstream_incomplete'), true, error);
}

/** The code of an error, for the operational log: its text may quote what was sent. */
export function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown';
  return 'code' in error && typeof error.code === 'string' ? error.code : error.name;
}
