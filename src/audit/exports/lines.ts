/** JSON lines: the entries' exact bytes, or events of OCSF. The first line is the export's own record, which names its checkpoint. */
import { ocsfEvent } from '../../core/audit/ocsf.ts';
import { readRawEntry } from '../../core/audit/raw-entry.ts';
import type { ExportSink, ExportSource } from './export-plan.ts';

const NEWLINE = Buffer.from('\n');

/** Each line is the leaf of its entry: whoever hashes it finds it in the tree. */
export function writeEntryLines({ record, batches }: ExportSource, sink: ExportSink): void {
  sink.write(record);
  sink.write(NEWLINE);
  for (const batch of batches()) {
    for (const { bytes } of batch) {
      sink.write(bytes);
      sink.write(NEWLINE);
    }
    sink.wrote(batch.length);
  }
}

export function writeOcsfLines({ record, batches }: ExportSource, sink: ExportSink): void {
  sink.write(line(record));
  for (const batch of batches()) {
    for (const { bytes } of batch) sink.write(line(bytes));
    sink.wrote(batch.length);
  }
}

const line = (entry: Buffer): Buffer =>
  Buffer.from(`${JSON.stringify(ocsfEvent(readRawEntry(entry)))}\n`, 'utf8');
