/** Entries of the log as lists show them. */
import { moment, type Cell } from '../output.ts';
import type { Entry } from '../wire.ts';

export const ENTRY_HEAD = ['index', 'at', 'kind', 'actor', 'ref', 'result'];

export function entryRow({ index, entry }: Entry): Cell[] {
  const { actor, decision, reason } = entry;
  return [
    index,
    moment(entry.at),
    entry.kind,
    'person' in actor ? String(actor.person) : `(${actor.system})`,
    entry.ref,
    reason === undefined ? decision : `${decision ?? ''} ${reason}`.trim(),
  ];
}
