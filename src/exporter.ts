/**
 * The thread of an export: reads the log through a connection of its own, so that making an export keeps no request
 * waiting. Wires store and audit together.
 */
import { setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { ChunkSink, ReaderGone, type Chunk } from './audit/exports/chunk-sink.ts';
import type { ExportPlan, ExportSource } from './audit/exports/export-plan.ts';
import type { ExportOrder, FromExporter } from './audit/exports/thread-messages.ts';
import { writeExport } from './audit/exports/write-export.ts';
import type { StoredEntry } from './store/entry-index.ts';
import { Readers } from './store/readers.ts';

/** Entries that are read at a time: at most 16 MiB, and 64 KiB each is rare. */
const BATCH = 256;

/** On Linux, the kernel keeps the niceness of each thread: requests come before exports. */
const NICENESS = 5;

async function run(): Promise<void> {
  const port = parentPort;
  if (!port) throw new Error('This file is the thread of an export; it is not run by itself.');
  const { database, plan, shared, skip, key } = workerData as ExportOrder;
  const send = (message: FromExporter, transfer: ArrayBuffer[] = []): void =>
    port.postMessage(message, transfer);
  const sendChunk = (chunk: Chunk): void => send({ kind: 'chunk', ...chunk }, [chunk.bytes]);
  if (process.platform === 'linux') setPriority(NICENESS);
  const readers = new Readers(database);
  try {
    const sink = new ChunkSink(
      new Int32Array(shared),
      skip === null ? undefined : sendChunk,
      skip ?? 0,
      key,
    );
    await writeExport(sourceOf(readers, plan), sink);
    send({ kind: 'written', ...sink.end() });
  } catch (error) {
    if (!(error instanceof ReaderGone))
      send({ kind: 'failed', reason: error instanceof Error ? error.message : String(error) });
  } finally {
    readers.close();
  }
}

function sourceOf(readers: Readers, plan: ExportPlan): ExportSource {
  const record = readers.readEntry(plan.record)?.bytes;
  if (!record) throw new Error(`The entry ${plan.record}, which records the export, is missing.`);
  const { from, to } = plan.range;
  function* batches(): Generator<readonly StoredEntry[]> {
    const mustBeThere = (): void => {
      if (readers.minimumIndex() > from)
        throw new Error('Entries that it is of were pruned while it was made.');
    };
    for (const batch of readers.entriesBetween(from, to, plan.filter, BATCH)) {
      // Pruned entries count as gone before they are: what was read before this was all there.
      mustBeThere();
      yield batch;
    }
    mustBeThere();
  }
  return { plan, record, batches, tile: readers.readTile };
}

await run();
