/** CSV: a line of headings, and one for each entry. */
import { COLUMNS, rowOf } from '../../core/audit/columns.ts';
import { csvCell, csvLine } from '../../core/audit/csv.ts';
import { readRawEntry } from '../../core/audit/raw-entry.ts';
import type { ExportSink, ExportSource } from './export-plan.ts';

export function writeCsv({ batches }: ExportSource, sink: ExportSink): void {
  sink.write(Buffer.from(csvLine(COLUMNS.map(({ name }) => name)), 'utf8'));
  for (const batch of batches()) {
    for (const { bytes } of batch) {
      const row = rowOf(readRawEntry(bytes));
      const cells = COLUMNS.map(({ of, type }) => csvCell(of(row), type));
      sink.write(Buffer.from(csvLine(cells), 'utf8'));
    }
    sink.wrote(batch.length);
  }
}
