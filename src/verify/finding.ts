/** How a verification ends, when it does not end well. */

/**
 * - `sound`: every check passed.
 * - `tampered`: something is there that the log's key did not sign.
 * - `incomplete`: what is there is right as far as it goes, and something is missing.
 * - `could_not_run`: nothing can be said.
 */
export type VerificationStatus = 'sound' | 'tampered' | 'incomplete' | 'could_not_run';

/** Thrown by a check that ends the verification. The message is one sentence: what is wrong, and where. */
export class Finding extends Error {
  override readonly name = 'Finding';
  readonly status: Exclude<VerificationStatus, 'sound'>;
  readonly firstBadIndex: number | undefined;

  constructor(
    status: Exclude<VerificationStatus, 'sound'>,
    message: string,
    firstBadIndex?: number,
  ) {
    super(message);
    this.status = status;
    this.firstBadIndex = firstBadIndex;
  }
}

/** Something that the key did not sign. */
export function tampered(message: string, firstBadIndex?: number): Finding {
  return new Finding('tampered', message, firstBadIndex);
}

/** Something that is missing. */
export function incomplete(message: string, firstBadIndex?: number): Finding {
  return new Finding('incomplete', message, firstBadIndex);
}

/** What ended a verification, as a Finding: an error that is none prevented it. */
export function asFinding(error: unknown): Finding {
  if (error instanceof Finding) return error;
  const { code, message } = error as Error & { code?: string };
  return new Finding(
    'could_not_run',
    `The verification failed: ${code ?? message.replace(/\.$/, '')}.`,
  );
}
