/** What a refusal says about what was asked for. */
import { DENIALS, type DenialCode } from '../core/denials.ts';
import { RefusedByBroker } from './problems.ts';

/**
 * Whether the broker decided against what it was asked, so that nothing was done. A refusal whose reason
 * lies with the broker itself decides nothing: what was asked may yet be done.
 */
export function isDecided(error: unknown): boolean {
  if (!(error instanceof RefusedByBroker) || !Object.hasOwn(DENIALS, error.code)) return false;
  return DENIALS[error.code as DenialCode].status < 500;
}
