/** Which refusals stand in the log already, so that none is recorded twice. */
import { RefusedError } from '../core/denials.ts';

const recorded = new WeakSet<RefusedError>();

/** Marks an error's refusal as recorded. */
export function alreadyRecorded(error: unknown): unknown {
  if (error instanceof RefusedError) recorded.add(error);
  return error;
}

/** Whether a refusal is on record, or cannot be because the log is what failed. */
export function isRecorded(error: RefusedError): boolean {
  return recorded.has(error) || error.refusal.code === 'log_unavailable';
}
