/** What the entries of a report come to, as JSON. */
import { createHash } from 'node:crypto';
import { leafHash } from '../../core/audit/merkle.ts';
import { readRawEntry } from '../../core/audit/raw-entry.ts';
import { FiguresOf } from '../../core/reports/figures.ts';
import type { ExportSink, ExportSource } from './export-plan.ts';

export function writeFigures({ plan, batches }: ExportSource, sink: ExportSink): void {
  const sums = new FiguresOf();
  const leaves = createHash('sha256');
  for (const batch of batches()) {
    for (const { bytes } of batch) {
      // Most entries of a grant are of other runs: to look for the id is faster than to read them.
      if (plan.run !== undefined && !bytes.includes(plan.run)) continue;
      const entry = readRawEntry(bytes);
      if (plan.run !== undefined && entry.run !== plan.run && entry.ref !== plan.run) continue;
      sums.add(entry);
      leaves.update(leafHash(bytes));
    }
    sink.wrote(batch.length);
  }
  sink.write(Buffer.from(JSON.stringify(sums.figures(leaves.digest('hex'))), 'utf8'));
}
