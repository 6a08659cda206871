/** `sallyport audit export`: the whole log as an evidence bundle, in a file. */
import type { Command } from 'commander';
import { commandLine } from '../command-line.ts';
import { connect } from '../connection.ts';
import { defineBrokerCommand, type BrokerOptions } from '../define.ts';
import { refuseOverwriting, saveEvidence } from '../evidence-file.ts';
import { counted, note, printJson, say } from '../output.ts';
import type { Surroundings } from '../surroundings.ts';

interface ExportOptions extends BrokerOptions {
  out: string;
  witnessed?: boolean;
}

export function addAuditExport(group: Command, around: Surroundings): void {
  defineBrokerCommand(group, 'export', {
    summary: 'Export the log as an evidence bundle that can be checked offline',
    details:
      'Writes to FILE.part and renames it when everything is there. The export goes on record.',
    examples: ['sallyport audit export --out evidence.tar'],
  })
    .requiredOption('--out <file>', 'where the bundle goes; must not exist yet')
    .option('--witnessed', 'up to the newest checkpoint that enough witnesses have cosigned')
    .action(async (options: ExportOptions) => {
      const { out } = options;
      refuseOverwriting(out);
      const broker = await connect(around, options);
      const body = options.witnessed ? { witnessed: true } : {};
      const written = await saveEvidence(out, () => broker.request('POST', '/exports', body));
      const size = Number(written.headers.get('x-sallyport-size'));
      const id = written.headers.get('x-sallyport-export');
      if (options.json) {
        printJson(around, { file: out, export: id, entries: size, bytes: written.bytes });
        return;
      }
      say(
        around,
        `Wrote ${out}: ${counted(size, 'entry', 'entries')}, ${counted(written.bytes, 'byte')}${id ? ` (${id})` : ''}.`,
      );
      note(around, `Check it with: ${commandLine(around, `audit verify ${out} --key KEY`)}`);
      const key = commandLine(around, 'audit key', options.profile);
      note(
        around,
        `Get the key from the host lab by another way than this bundle; "${key}" prints what the broker says it is.`,
      );
    });
}
