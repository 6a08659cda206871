/** Exporting the audit log as an evidence bundle. */
import type { Readable } from 'node:stream';
import { evidenceBundle } from '../audit/bundle.ts';
import { mintId } from '../lib/ids.ts';
import type { Broker } from './broker.ts';
import { by } from './by.ts';

export interface AuditExport {
  id: string;
  /** Entries in it. */
  size: number;
  /** The bundle, a tar, as it is read. */
  bundle: Readable;
}

/** Entries read from the database at a time. */
const BATCH = 1_024;

/** Fixes a signed checkpoint, records the export, and streams every entry below the checkpoint. */
export async function exportAudit(broker: Broker, actorId: string): Promise<AuditExport> {
  const who = by(broker, actorId);
  const id = mintId('exp', who.at);
  const { size, note } = await broker.store.write('recordExport', { by: who, id });
  const { readers, store } = broker;
  const bundle = evidenceBundle({
    checkpoint: note,
    verifierKey: store.verifierKey,
    tile: readers.readTile,
    entries: readers.entryBatches(0, size, BATCH),
  });
  return { id, size, bundle };
}
