/** Entries of the log as lists show them. */
import { unnamed, type Named } from '../names.ts';
import { moment, type Cell } from '../output.ts';
import type { Entry } from '../wire.ts';

export const ENTRY_HEAD = ['index', 'at', 'kind', 'actor', 'ref', 'result'];

/** @param named puts names beside ids */
export function entryRow({ index, entry }: Entry, named: Named = unnamed): Cell[] {
  const { actor, decision, reason } = entry;
  return [
    index,
    moment(entry.at),
    entry.kind,
    'person' in actor ? named(String(actor.person)) : `(${actor.system})`,
    named(entry.ref),
    reason === undefined ? decision : `${decision ?? ''} ${reason}`.trim(),
  ];
}
