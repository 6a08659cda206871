/** Writes an export in its format. */
import { evidenceBundle } from '../bundle.ts';
import { writeCsv } from './csv.ts';
import type { ExportSink, ExportSource } from './export-plan.ts';
import { writeFigures } from './figures.ts';
import { writeEntryLines, writeOcsfLines } from './lines.ts';
import { writeParquet } from './parquet.ts';

/**
 * Writes all of it, in bounded memory. The same source gives the same bytes.
 *
 * @throws what the sink throws, which ends it; Error where the log is not as its checkpoint says
 */
export async function writeExport(source: ExportSource, sink: ExportSink): Promise<void> {
  switch (source.plan.format) {
    case 'bundle':
    case 'archive':
      return writeBundle(source, sink);
    case 'jsonl':
      return writeEntryLines(source, sink);
    case 'ocsf':
      return writeOcsfLines(source, sink);
    case 'csv':
      return writeCsv(source, sink);
    case 'parquet':
      return writeParquet(source, sink);
    case 'figures':
      return writeFigures(source, sink);
  }
}

async function writeBundle({ plan, batches, tile }: ExportSource, sink: ExportSink): Promise<void> {
  const { checkpoint, verifierKey, keyHistory, range } = plan;
  const entries = counted(batches(), sink);
  for await (const chunk of evidenceBundle({
    checkpoint,
    verifierKey,
    keyHistory,
    range,
    tile,
    entries,
  }))
    sink.write(chunk as Buffer);
}

function* counted(
  batches: ReturnType<ExportSource['batches']>,
  sink: ExportSink,
): Generator<Buffer[]> {
  for (const batch of batches) {
    // Before they are handed over: after the last batch, nobody asks for more.
    sink.wrote(batch.length);
    yield batch.map(({ bytes }) => bytes);
  }
}
