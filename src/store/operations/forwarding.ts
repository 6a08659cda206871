/** Where the log has been forwarded to. Not for the log itself: it would forward what it says of forwarding. */
import { writeForwardCursors } from '../forward-rows.ts';
import type { Operation } from './operation.ts';

/** Notes how far receivers have come. After a crash they are given again what came later. */
export const recordForwarded: Operation<
  { at: number; cursors: { receiver: string; next: number }[] },
  void
> = {
  run: ({ db }, { at, cursors }) => writeForwardCursors(db, cursors, at),
};
