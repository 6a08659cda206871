/** `sallyport audit receipts`: keeps the receipts of calls in a directory. */
import type { Command } from 'commander';
import { parseReceipt } from '../../core/audit/receipt.ts';
import { day, id } from '../arguments.ts';
import type { BrokerClient } from '../broker-client.ts';
import { commandLine } from '../command-line.ts';
import { connect } from '../connection.ts';
import { defineBrokerCommand, type BrokerOptions } from '../define.ts';
import { counted, note, printJson, say } from '../output.ts';
import { QuietExit, failed, fileTrouble, wrongUsage } from '../problems.ts';
import { EXIT } from '../exit-codes.ts';
import { RECEIPTS_AT_A_TIME, askReceipts, askStatedEntries } from '../receipts/ask.ts';
import {
  keepReceipt,
  makeReceiptsDirectory,
  readReceiptFile,
  receiptPath,
  receiptsKept,
} from '../receipts/files.ts';
import type { Surroundings } from '../surroundings.ts';

interface ReceiptsOptions extends BrokerOptions {
  dir: string;
  of?: string;
  run?: string;
  day?: string;
  since?: string;
}

/** Requests that are named where their receipts could not be had. */
const MOST_NAMED = 20;

export function addAuditReceipts(group: Command, around: Surroundings): void {
  defineBrokerCommand(group, 'receipts', {
    summary: 'Fetch the receipts of calls into a directory',
    details:
      'Of your own calls, or with --of of those of somebody whose calls you may see. What is there already, and whole, is not fetched again. "audit receipt" checks them; "audit statement --receipts" holds them against what the log counts. The reading goes on record.',
    examples: [
      'sallyport audit receipts --run run_01… --dir receipts',
      'sallyport audit receipts --since 2026-05-01 --dir receipts',
    ],
  })
    .requiredOption('--dir <directory>', 'where they are kept; is made where it is missing')
    .option('--run <id>', 'of calls under this run', id('run'))
    .option('--day <day>', 'of calls of this UTC day, such as 2026-05-31', day)
    .option('--since <day>', 'of calls from this UTC day on', day)
    .option('--of <id>', "of this person's calls", id('per'))
    .action(async (options: ReceiptsOptions) => {
      const { dir, run, since, of, day: on } = options;
      if (run === undefined && since === undefined && on === undefined)
        throw wrongUsage('Say which: give --run, --day or --since.');
      makeReceiptsDirectory(dir);
      const broker = await connect(around, options);
      const which = { run, since, day: on, person: of };
      const { items } = await askStatedEntries(broker, which);
      const entries = new Map<string, number>();
      for (const { request } of items)
        if (request !== null) entries.set(request, (entries.get(request) ?? 0) + 1);
      const had = receiptsKept(dir);
      const wanted = [...entries].filter(
        ([request, count]) => !had.has(request) || entriesKept(dir, request) < count,
      );
      const missing = await keepAll(
        broker,
        dir,
        wanted.map(([request]) => request),
      );
      const kept = wanted.length - missing.length;
      if (options.json)
        printJson(around, { directory: dir, requests: entries.size, kept, missing });
      else {
        say(
          around,
          `${counted(kept, 'receipt')} fetched into ${dir}, of ${counted(entries.size, 'request')}.`,
        );
        if (kept > 0)
          note(around, `Check them with: ${commandLine(around, `audit receipt ${dir} --key KEY`)}`);
      }
      if (missing.length === 0) return;
      note(around, `The log lists these and the broker gave no receipt: ${namesOf(missing)}.`);
      throw new QuietExit(EXIT.failed);
    });
}

/** The first of many ids. */
function namesOf(requests: readonly string[]): string {
  const more = requests.length - MOST_NAMED;
  return requests.slice(0, MOST_NAMED).join(', ') + (more > 0 ? ` and ${more} more` : '');
}

function entriesKept(directory: string, request: string): number {
  const file = readReceiptFile(receiptPath(directory, request));
  const receipt = 'bytes' in file ? parseReceipt(file.bytes) : undefined;
  return receipt && 'parts' in receipt ? receipt.parts.length : 0;
}

/** Returns those that there was no receipt of. @throws CliError */
async function keepAll(
  broker: BrokerClient,
  directory: string,
  requests: string[],
): Promise<string[]> {
  const missing: string[] = [];
  for (let at = 0; at < requests.length; at += RECEIPTS_AT_A_TIME) {
    const asked = requests.slice(at, at + RECEIPTS_AT_A_TIME);
    const receipts = await askReceipts(broker, asked);
    missing.push(...asked.filter((request) => !receipts.has(request)));
    for (const [request, receipt] of receipts) {
      // The name of a file: nothing but what was asked for.
      if (!asked.includes(request)) continue;
      await keepReceipt(directory, request, receipt).catch((error: unknown) => {
        throw failed(`Cannot write into ${directory}: ${fileTrouble(error)}.`, error);
      });
    }
  }
  return missing;
}
