/**
 * The closed list of reasons for which anything is refused, and what each becomes on the wire. The same
 * code stands in the answer and in the audit log.
 *
 * Statuses and wording follow what unmodified SDKs and harnesses do with them: denials are 401 or 403,
 * which nobody retries; only what refills soon is 429; texts avoid words that a harness scores as the
 * model's own refusal.
 */
import { CONTROL_DENIALS } from './control-denials.ts';
import { later, no, type Denial } from './denial.ts';
import { REQUEST_DENIALS } from './request-denials.ts';

export const DENIALS = {
  ...REQUEST_DENIALS,
  ...CONTROL_DENIALS,

  // The broker and the upstream
  log_unavailable: later(
    503,
    'api_error',
    'The audit log cannot be written, so nothing is forwarded. Try again soon.',
  ),
  transcript_unavailable: later(
    503,
    'api_error',
    'The transcript that the grant asks for cannot be kept, so nothing is forwarded. Try again soon.',
  ),
  too_busy: later(503, 'api_error', 'The broker has more to do than it can take. Try again soon.'),
  starting_up: later(503, 'api_error', 'The broker is starting. Try again in a moment.'),
  shutting_down: later(503, 'api_error', 'The broker is shutting down. Try again soon.'),
  upstream_unreachable: later(
    502,
    'api_error',
    'The model endpoint could not be reached; nothing was sent.',
  ),
  upstream_timeout: no(504, 'api_error', 'The model endpoint did not answer in time.'),
  upstream_invalid: no(502, 'api_error', 'The model endpoint gave an answer that cannot be used.'),
  upstream_incomplete: no(
    502,
    'api_error',
    'The model endpoint ended its answer before it was complete.',
  ),
  upstream_credential_refused: no(
    403,
    'permission_error',
    'The model endpoint refused the credential of the host lab. Tell the host lab.',
  ),
  unexpected: no(
    500,
    'api_error',
    'Something went wrong in the broker. Tell the host lab the request id.',
  ),
} as const satisfies Record<string, Denial>;

export type DenialCode = keyof typeof DENIALS;

/** A refusal: the code for programs, a sentence for people. `orders` are those that caused it. */
export interface Refusal {
  code: DenialCode;
  message: string;
  /** The field of the request that it is about. */
  param?: string | undefined;
  orders?: string[] | undefined;
  /** Milliseconds after which the same request can succeed. Only for 429. */
  retryAfterMs?: number | undefined;
}

/** Makes a refusal; without a message of its own it carries the list's sentence. */
export function refusal(
  code: DenialCode,
  message?: string,
  rest: Omit<Refusal, 'code' | 'message'> = {},
): Refusal {
  return { code, message: message ?? DENIALS[code].text, ...rest };
}

/** A refusal on its way up. Thrown inside the broker layer, mapped to the wire at the edge. */
export class RefusedError extends Error {
  readonly refusal: Refusal;

  constructor(cause: Refusal) {
    super(cause.message);
    this.name = 'RefusedError';
    this.refusal = cause;
  }
}

/** Throws a {@link RefusedError}. */
export function refuse(
  code: DenialCode,
  message?: string,
  rest: Omit<Refusal, 'code' | 'message'> = {},
): never {
  throw new RefusedError(refusal(code, message, rest));
}
