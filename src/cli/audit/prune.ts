/** `sallyport audit prune`: takes entries out of a broker that are archived. */
import { createHmac } from 'node:crypto';
import { createReadStream } from 'node:fs';
import type { Command } from 'commander';
import { z } from 'zod';
import { YES_OPTION, mustConfirm, type ConfirmOption } from '../confirm.ts';
import { connect } from '../connection.ts';
import { jsonOf } from '../http.ts';
import { defineBrokerCommand, type BrokerOptions } from '../define.ts';
import { counted, note, printJson, say } from '../output.ts';
import { fileTrouble, wrongUsage } from '../problems.ts';
import type { Surroundings } from '../surroundings.ts';

interface PruneOptions extends BrokerOptions, ConfirmOption {
  export: string;
  archive: string;
  dryRun?: boolean;
}

/** As long as an export that is resumed: the broker makes it once more. */
const PATIENCE_MS = 290_000;

const challengeSchema = z.looseObject({
  challenge: z.string(),
  first: z.number(),
  before: z.number(),
});

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
      'For good: what is pruned is in its archive alone. Hash tiles stay, so proofs, receipts and statements stay valid, and "audit verify" says that the log is sound. It is for an admin who did not make the archive, after the time of notice. You show that you have the archive: --archive is read, and the broker makes it once more to check that, which takes as long as an export. Read "sallyport audit retention" first.',
    examples: [
      'sallyport audit prune --export exp_01… --archive archive-2027.tar --dry-run',
      'sallyport audit prune --export exp_01… --archive archive-2027.tar',
    ],
  })
    .requiredOption('--export <id>', 'the export that made the archive')
    .requiredOption('--archive <file>', 'the archive, which you keep')
    .option('--dry-run', 'say what would be pruned, or why it is not, and prune nothing')
    .option(...YES_OPTION)
    .action((options: PruneOptions) => prune(around, options));
}

async function prune(around: Surroundings, options: PruneOptions): Promise<void> {
  const { export: exportId, archive, dryRun = false } = options;
  const broker = await connect(around, options);
  const { challenge, first, before } = await broker.post(
    '/log/prunings/challenges',
    challengeSchema,
    { export: exportId },
  );
  const proof = await proofOf(archive, challenge);
  const what = `the ${counted(before - first, 'entry', 'entries')} ${first} to ${before - 1}`;
  if (!dryRun) await mustConfirm(around, `Prune ${what}, for good?`, options);
  const pruned = await jsonOf(
    await broker.request(
      'POST',
      '/log/prunings',
      { export: exportId, challenge, proof, dryRun },
      {},
      PATIENCE_MS,
    ),
    prunedSchema,
  );
  if (options.json) printJson(around, pruned);
  else if (dryRun)
    say(around, `Would prune ${what}. The log would begin at entry ${pruned.before}.`);
  else say(around, `Pruned ${what}. The log begins at entry ${pruned.before}.`);
  if (!dryRun)
    note(around, 'The archive is all there is of them now: keep it, and a copy elsewhere.');
}

/** Shows that we have the file: nobody else can answer the challenge. */
async function proofOf(archive: string, challenge: string): Promise<string> {
  const hmac = createHmac('sha256', challenge);
  try {
    for await (const piece of createReadStream(archive)) hmac.update(piece as Buffer);
  } catch (error) {
    throw wrongUsage(`Cannot read ${archive}: ${fileTrouble(error)}.`, error);
  }
  return hmac.digest('hex');
}
