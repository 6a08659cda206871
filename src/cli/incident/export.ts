/** `sallyport incident export`: a report with its evidence, in a file. */
import type { Command } from 'commander';
import { id } from '../arguments.ts';
import { commandLine } from '../command-line.ts';
import { connect } from '../connection.ts';
import { defineBrokerCommand, type BrokerOptions } from '../define.ts';
import { refuseOverwriting, saveEvidence } from '../evidence-file.ts';
import { counted, note, printJson, say } from '../output.ts';
import type { Surroundings } from '../surroundings.ts';

interface ExportOptions extends BrokerOptions {
  out: string;
}

export function addIncidentExport(group: Command, around: Surroundings): void {
  defineBrokerCommand(group, 'export', {
    summary: 'Export a report on an incident with its evidence, which can be checked offline',
    details:
      'A tar: report.md to read, the incident and its orders as JSON, and the entries of the log about all of it with proofs that they are in the log. The export goes on record.',
    examples: ['sallyport incident export inc_01… --out incident.tar'],
  })
    .argument('<id>', 'the incident', id('inc'))
    .requiredOption('--out <file>', 'where the report goes; must not exist yet')
    .action(async (incident: string, options: ExportOptions) => {
      const { out } = options;
      refuseOverwriting(out);
      const broker = await connect(around, options);
      const { bytes, headers } = await saveEvidence(out, () =>
        broker.request('GET', `/incidents/${incident}/export`),
      );
      const entries = Number(headers.get('x-sallyport-entries'));
      const exported = headers.get('x-sallyport-export');
      if (options.json) {
        printJson(around, { file: out, export: exported, entries, bytes });
        return;
      }
      say(
        around,
        `Wrote ${out}: ${counted(entries, 'entry', 'entries')}, ${counted(bytes, 'byte')} (${exported}).`,
      );
      note(around, `Check it with: ${commandLine(around, `audit verify ${out} --key KEY`)}`);
    });
}
