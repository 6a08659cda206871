/** `sallyport audit archive` and `audit archives`: the oldest entries of the log, kept elsewhere. */
import type { Command } from 'commander';
import { z } from 'zod';
import { wholeNumber } from '../arguments.ts';
import { connect } from '../connection.ts';
import { defineBrokerCommand, type BrokerOptions } from '../define.ts';
import { moment, printJson, printTable, say } from '../output.ts';
import type { Surroundings } from '../surroundings.ts';
import { exportToFile } from './export.ts';

interface ArchiveOptions extends BrokerOptions {
  out?: string;
  before?: number;
  resume?: boolean;
}

export function addAuditArchive(group: Command, around: Surroundings): void {
  defineBrokerCommand(group, 'archive', {
    summary: 'Archive the oldest entries of the log, as far as retention allows',
    details:
      'Writes an evidence bundle of the entries from where the log begins. It goes on record, and everybody concerned is told; nothing is pruned by it ("sallyport audit prune"). For auditors of the host and of auditor labs. What was cut goes on with --resume, within seven days.',
    examples: [
      'sallyport audit archive --out archive-2027.tar',
      'sallyport audit archive --before 1048576 --out archive-2027.tar',
    ],
  })
    .option('--out <file>', 'where it goes; must not exist yet (default: audit.archive.tar)')
    .option('--before <index>', 'up to the entry before this index', wholeNumber(0))
    .option('--resume', 'go on with an archive to the same file that was cut')
    .action((options: ArchiveOptions) => exportToFile(around, { ...options, format: 'archive' }));
}

const archivesSchema = z.looseObject({
  begins: z.number(),
  items: z.array(
    z.looseObject({
      export: z.string(),
      first: z.number(),
      before: z.number(),
      sha256: z.string(),
      archivedBy: z.string(),
      archivedAt: z.string(),
      prunedAt: z.string(),
    }),
  ),
});

export function addAuditArchives(group: Command, around: Surroundings): void {
  defineBrokerCommand(group, 'archives', {
    summary: 'List the archives that hold what was pruned',
    details:
      'Where the log begins here, and which archive has the entries in front of that, made by whom: they keep it, or whoever pruned does.',
    examples: ['sallyport audit archives'],
  }).action(async (options: BrokerOptions) => {
    const broker = await connect(around, options);
    const archives = await broker.get('/log/archives', archivesSchema);
    if (options.json) {
      printJson(around, archives);
      return;
    }
    if (archives.items.length === 0) {
      say(around, 'Nothing was pruned: the log begins at entry 0.');
      return;
    }
    printTable(
      around,
      ['first', 'last', 'export', 'archived', 'by', 'pruned', 'sha256'],
      archives.items.map((one) => [
        one.first,
        one.before - 1,
        one.export,
        moment(one.archivedAt),
        one.archivedBy,
        moment(one.prunedAt),
        one.sha256,
      ]),
    );
    say(around, `The log begins at entry ${archives.begins} here.`);
  });
}
