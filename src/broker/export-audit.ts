/** Exporting the audit log as an evidence bundle. */
import type { Readable } from 'node:stream';
import { evidenceBundle } from '../audit/bundle.ts';
import { refuse } from '../core/denials.ts';
import { mintId } from '../lib/ids.ts';
import type { Broker } from './broker.ts';
import { by } from './by.ts';
import { keyHistoryOf, logKeyOf } from './rotate-log-key.ts';

export interface AuditExport {
  id: string;
  /** Entries in it. */
  size: number;
  /** The bundle, a tar, as it is read. */
  bundle: Readable;
}

/** Entries read from the database at a time. */
const BATCH = 1_024;

/**
 * Fixes a signed checkpoint, records the export, and streams every entry below the checkpoint.
 *
 * @param witnessed whether to take the newest checkpoint that enough witnesses have cosigned, and not a new one
 * @throws RefusedError `not_found` where there is none
 */
export async function exportAudit(
  broker: Broker,
  actorId: string,
  { witnessed = false }: { witnessed?: boolean } = {},
): Promise<AuditExport> {
  const who = by(broker, actorId);
  const id = mintId('exp', who.at);
  const { readers, store, witnesses } = broker;
  const chosen = witnessed ? readers.newestWitnessed(witnesses.policy) : undefined;
  if (witnessed && !chosen)
    refuse('not_found', 'There is no checkpoint that enough witnesses have cosigned.');
  const { size, note } = await store.write('recordExport', { by: who, id, size: chosen?.size });
  const bundle = evidenceBundle({
    checkpoint: chosen?.note ?? note,
    verifierKey: logKeyOf(broker, size),
    keyHistory: keyHistoryOf(broker),
    tile: readers.readTile,
    entries: readers.entryBatches(0, size, BATCH),
  });
  return { id, size, bundle };
}
