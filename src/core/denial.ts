/** One reason for which something is refused, and what it becomes on the wire. */

/** The `type` of the error object, in the words both vendors' SDKs know. */
export type ErrorType =
  | 'authentication_error'
  | 'permission_error'
  | 'rate_limit_error'
  | 'invalid_request_error'
  | 'not_found_error'
  | 'api_error';

export interface Denial {
  /** HTTP status. */
  status: number;
  type: ErrorType;
  /** Whether an SDK may try the same request again (`x-should-retry`). */
  retry: boolean;
  /** A sentence that says what to do, used where the place of refusal knows nothing more exact. */
  text: string;
}

export const no = (status: number, type: ErrorType, text: string): Denial => ({
  status,
  type,
  retry: false,
  text,
});
export const later = (status: number, type: ErrorType, text: string): Denial => ({
  status,
  type,
  retry: true,
  text,
});
