/** `sallyport audit receipts`: keeps the receipts of calls in a directory. */
import type { Command } from 'commander';
import { day, id, several } from '../arguments.ts';
import { commandLine } from '../command-line.ts';
import { connect } from '../connection.ts';
import { defineBrokerCommand, type BrokerOptions } from '../define.ts';
import { counted, note, printJson, say } from '../output.ts';
import { QuietExit, failed, fileTrouble, wrongUsage } from '../problems.ts';
import { EXIT } from '../exit-codes.ts';
import { RECEIPTS_AT_A_TIME, askStatedEntries } from '../receipts/ask.ts';
import { makeReceiptsDirectory } from '../receipts/files.ts';
import { ReceiptStore, receiptKeys } from '../receipts/keep.ts';
import type { Surroundings } from '../surroundings.ts';

interface ReceiptsOptions extends BrokerOptions {
  dir: string;
  of?: string;
  run?: string;
  day?: string;
  since?: string;
  /** `--key` says who calls. */
  logKey?: string[];
}

/** Requests that are named where their receipts could not be had. */
const MOST_NAMED = 20;

export function addAuditReceipts(group: Command, around: Surroundings): void {
  defineBrokerCommand(group, 'receipts', {
    summary: 'Fetch the receipts of calls into a directory',
    details:
      'Of your own calls, or with --of of those of somebody whose calls you may see. What is there already, and whole, is neither fetched again nor written over. What comes is checked before it is kept: that it is a receipt of that call, and, with --log-key or a key in the file "log-keys" beside the profiles, that the log signed it. "audit receipt" checks them; "audit statement --receipts" holds them against what the log counts. The reading goes on record.',
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
    .option(
      '--log-key <key>',
      "the log's verifier key, or @FILE that holds it; may be given several times",
      several,
    )
    .action(async (options: ReceiptsOptions) => {
      const { dir, run, since, of, day: on } = options;
      if (run === undefined && since === undefined && on === undefined)
        throw wrongUsage('Say which: give --run, --day or --since.');
      makeReceiptsDirectory(dir);
      const keys = receiptKeys(around, options.logKey);
      const broker = await connect(around, options);
      const which = { run, since, day: on, person: of };
      const { items } = await askStatedEntries(broker, which);
      const requests = new Set(items.flatMap(({ request }) => request ?? []));
      const store = new ReceiptStore(broker, dir, keys);
      await store.learnKeys();
      const wanted = [...requests].filter((request) => !store.has(request));
      const { missing, refused } = await keepAll(store, dir, wanted);
      const kept = wanted.length - missing.length - refused.length;
      if (options.json)
        printJson(around, { directory: dir, requests: requests.size, kept, missing, refused });
      else {
        say(
          around,
          `${counted(kept, 'receipt')} fetched into ${dir}, of ${counted(requests.size, 'request')}.`,
        );
        if (kept > 0)
          note(around, `Check them with: ${commandLine(around, `audit receipt ${dir} --key KEY`)}`);
      }
      for (const { request, problem } of refused)
        note(around, `What the broker gave for ${request} was not kept. ${problem}`);
      if (missing.length + refused.length === 0) return;
      if (missing.length > 0)
        note(around, `The log lists these and the broker gave no receipt: ${namesOf(missing)}.`);
      throw new QuietExit(EXIT.failed);
    });
}

/** The first of many ids. */
function namesOf(requests: readonly string[]): string {
  const more = requests.length - MOST_NAMED;
  return requests.slice(0, MOST_NAMED).join(', ') + (more > 0 ? ` and ${more} more` : '');
}

interface NotKept {
  /** There was no receipt. */
  missing: string[];
  /** What came is none. */
  refused: { request: string; problem: string }[];
}

/** @throws CliError */
async function keepAll(
  store: ReceiptStore,
  directory: string,
  requests: string[],
): Promise<NotKept> {
  const notKept: NotKept = { missing: [], refused: [] };
  for (let at = 0; at < requests.length; at += RECEIPTS_AT_A_TIME) {
    const asked = requests.slice(at, at + RECEIPTS_AT_A_TIME);
    const receipts = await store.ask(asked);
    // The name of a file: nothing but what was asked for.
    for (const request of asked) {
      const receipt = receipts.get(request);
      if (receipt === undefined) {
        notKept.missing.push(request);
        continue;
      }
      const { outcome, report } = await store.keep(request, receipt).catch((error: unknown) => {
        throw failed(`Cannot write into ${directory}: ${fileTrouble(error)}.`, error);
      });
      const { problem = '' } = report;
      if (outcome === 'refused') notKept.refused.push({ request, problem });
    }
  }
  return notKept;
}
