/** How limits and budgets stand, for showing: from what admission decides on, in the thread that owns it. */
import type { Charged } from '../../core/limits.ts';
import type { Operation } from './operation.ts';

/** What a grant as a whole has used. */
export interface GrantUse {
  grantId: string;
  charged: Charged;
  minute: { requests: number; tokens: number };
  /** Null where no daily budget stands over the grant, so that none is counted. */
  day: { requests: number; tokens: number } | null;
}

/** Writes nothing. Grants that are not in the store are left out by whoever asks. */
export const limiterState: Operation<
  { at: number; grants: { id: string; daily: boolean }[] },
  GrantUse[]
> = {
  run: ({ ledger }, { at, grants }) =>
    grants.map(({ id, daily }) => {
      const { charged, minute, day } = ledger.use({ grantId: id, personId: '' }, at, {
        day: daily,
      });
      // The functions of a window cannot cross to another thread.
      return {
        grantId: id,
        charged,
        minute: { requests: minute.requests, tokens: minute.tokens },
        day: daily ? { requests: day.requests, tokens: day.tokens } : null,
      };
    }),
};
