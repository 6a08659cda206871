/** `sallyport audit prune`: takes entries out of a broker that are archived. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { Option, type Command } from 'commander';
import { z } from 'zod';
import { YES_OPTION, mustConfirm, type ConfirmOption } from '../confirm.ts';
import { connect } from '../connection.ts';
import { defineBrokerCommand, type BrokerOptions } from '../define.ts';
import { counted, note, printJson, say } from '../output.ts';
import { fileTrouble, wrongUsage } from '../problems.ts';
import type { Surroundings } from '../surroundings.ts';

interface PruneOptions extends BrokerOptions, ConfirmOption {
  export: string;
  archive?: string;
  archiveSha256?: string;
  dryRun?: boolean;
}

const prunedSchema = z.looseObject({
  first: z.number(),
  before: z.number(),
  bytes: z.number(),
  pruned: z.boolean(),
});

export function addAuditPrune(group: Command, around: Surroundings): void {
  defineBrokerCommand(group, 'prune', {
    summary: 'Take entries out of the broker that are archived',
    details:
      'For good: what is pruned is in its archive alone. Hash tiles stay, so proofs, receipts and statements stay valid, and "audit verify" says that the log is sound. It is for an admin who did not make the archive, after the time of notice. The digest shows that you have the archive: --archive reads it from the file. Read "sallyport audit retention" first.',
    examples: [
      'sallyport audit prune --export exp_01… --archive archive-2027.tar --dry-run',
      'sallyport audit prune --export exp_01… --archive archive-2027.tar',
      'sallyport audit prune --export exp_01… --archive-sha256 9f86d081… --yes',
    ],
  })
    .requiredOption('--export <id>', 'the export that made the archive')
    .option('--archive <file>', 'the archive, which you keep')
    .addOption(
      new Option('--archive-sha256 <hex>', 'its digest, where the file is elsewhere').conflicts(
        'archive',
      ),
    )
    .option('--dry-run', 'say what would be pruned, or why it is not, and prune nothing')
    .option(...YES_OPTION)
    .action((options: PruneOptions) => prune(around, options));
}

async function prune(around: Surroundings, options: PruneOptions): Promise<void> {
  const sha256 = await digestOf(options);
  const broker = await connect(around, options);
  const asked = { export: options.export, sha256 };
  const path = '/log/prunings';
  const would = await broker.post(path, prunedSchema, { ...asked, dryRun: true });
  const { first, before } = would;
  const what = `the ${counted(before - first, 'entry', 'entries')} ${first} to ${before - 1}`;
  if (options.dryRun) {
    if (options.json) printJson(around, would);
    else say(around, `Would prune ${what}. The log would begin at entry ${before}.`);
    return;
  }
  await mustConfirm(around, `Prune ${what}, for good?`, options);
  const pruned = await broker.post(path, prunedSchema, asked);
  if (options.json) printJson(around, pruned);
  else say(around, `Pruned ${what}. The log begins at entry ${pruned.before}.`);
  note(around, 'The archive is all there is of them now: keep it, and a copy elsewhere.');
}

async function digestOf({ archive, archiveSha256 }: PruneOptions): Promise<string> {
  if (archiveSha256 !== undefined) return archiveSha256.toLowerCase();
  if (archive === undefined)
    throw wrongUsage('Show that you have the archive: give --archive FILE, or --archive-sha256.');
  const hash = createHash('sha256');
  try {
    await pipeline(createReadStream(archive), hash);
  } catch (error) {
    throw wrongUsage(`Cannot read ${archive}: ${fileTrouble(error)}.`, error);
  }
  return hash.digest('hex');
}
