/** When tokens were last presented. Not an entry of the log: what they were used for has its own. */
import type { Operation } from './operation.ts';

/** Notes the last use of tokens, and of their runs, each with its moment in epoch milliseconds. It never goes back. */
export const noteTokenUse: Operation<{ uses: [tokenId: string, at: number][] }, void> = {
  run(context, { uses }) {
    const note = context.db.$client.prepare<[number, string]>(
      'UPDATE tokens SET last_used_at = max(coalesce(last_used_at, 0), ?) WHERE id = ?',
    );
    const noteRun = context.db.$client.prepare<[number, string]>(
      `UPDATE runs SET last_used_at = max(coalesce(last_used_at, 0), ?)
       WHERE id = (SELECT run_id FROM tokens WHERE id = ?)`,
    );
    for (const [tokenId, at] of uses) {
      note.run(at, tokenId);
      noteRun.run(at, tokenId);
    }
  },
};
