/** `sallyport audit receipt`: checks receipts offline. Neither network nor profile is touched. */
import { basename } from 'node:path';
import type { Command } from 'commander';
import { EXIT_CODES, type VerificationStatus } from '../../audit/verify-bundle.ts';
import { verifyReceipt, type ReceiptReport } from '../../audit/verify-receipt.ts';
import { several } from '../arguments.ts';
import { commandLine } from '../command-line.ts';
import { defineCommand, setUsageExitCode, withJson } from '../define.ts';
import { VERIFY_EXIT_CODES_HELP } from '../exit-codes.ts';
import { counted, moment, note, printJson, say, type JsonOption } from '../output.ts';
import { QuietExit, wrongUsage } from '../problems.ts';
import { readReceiptFile, receiptPaths } from '../receipts/files.ts';
import { ofRequest } from '../receipts/keep.ts';
import type { Surroundings } from '../surroundings.ts';
import { givenKeys, historyOption } from './bundle-key.ts';
import { heedWitnesses, policyOf, withWitnesses, type WitnessOptions } from './witness-options.ts';

interface ReceiptOptions extends JsonOption, WitnessOptions {
  key?: string[];
  history?: string[];
}

/** How a file is named after the request that it is a receipt of. */
const NAMED = /^(req_[0-9a-z]{26})\.receipt$/;

type Checked = ReceiptReport & { file: string };

export function addAuditReceipt(group: Command, around: Surroundings): void {
  const command = defineCommand(group, 'receipt <path...>', {
    summary: 'Check receipts of requests, offline',
    details:
      'Takes receipts as the broker gives them, and directories of files that end in .receipt. Checks for each that the log signed a checkpoint, and holds these very entries under it. Needs no broker, no network and no profile.',
    examples: [
      "sallyport audit receipt req_01….receipt --key 'audit.lab.example+1f2e3d4c+AR…'",
      'sallyport audit receipt receipts/ --key @lab-audit.vkey --json',
    ],
    exitCodes: VERIFY_EXIT_CODES_HELP,
  });
  setUsageExitCode(command, EXIT_CODES.could_not_run);
  withWitnesses(withJson(command))
    .option(
      '--key <key>',
      "the log's verifier key, or @FILE that holds one on each line; may be given several times",
      several,
    )
    .addOption(historyOption())
    .action((paths: string[], options: ReceiptOptions) => {
      const checked = checkAll(around, paths, options);
      const status = worst(checked);
      print(around, checked, status, options);
      throw new QuietExit(EXIT_CODES[status]);
    });
}

/** Never throws: a usage error would end with the code of an incomplete receipt. */
function checkAll(around: Surroundings, paths: string[], options: ReceiptOptions): Checked[] {
  try {
    const policy = policyOf(options);
    const trusted = givenKeys(around, options.key, options.history);
    if (trusted.keys.length === 0) throw wrongUsage(keyNeeded(around));
    const files = receiptPaths(paths);
    if (files.length === 0)
      throw wrongUsage(`There is no file that ends in .receipt in ${paths.join(', ')}.`);
    return files.map((path) => {
      const read = readReceiptFile(path);
      if ('problem' in read) return couldNotRun(path, read.problem);
      const [, named] = NAMED.exec(basename(path)) ?? [];
      const checked = verifyReceipt(read.bytes, trusted);
      const report = named === undefined ? checked : ofRequest(checked, named);
      if (policy !== undefined) heedWitnesses(report, policy);
      return { file: path, ...report };
    });
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    return paths.map((path) => couldNotRun(path, problem));
  }
}

/** Said where no key is given. */
const keyNeeded = (around: Surroundings): string =>
  `It takes the verifier key of the log: give --key with the key as the host lab published it, got by another way than the receipts ("${commandLine(around, 'audit key')}" prints what a broker says it is; compare it with what the lab publishes or told you).`;

const couldNotRun = (file: string, problem: string): Checked => ({
  file,
  status: 'could_not_run',
  entries: [],
  problem,
});

/** What is tampered with matters more than what is missing, and that more than what could not be looked at. */
const BY_WEIGHT = ['tampered', 'incomplete', 'could_not_run', 'sound'] as const;

function worst(checked: readonly Checked[]): VerificationStatus {
  return BY_WEIGHT.find((status) => checked.some((one) => one.status === status)) ?? 'sound';
}

const VERDICTS: Record<VerificationStatus, string> = {
  sound: 'SOUND',
  tampered: 'TAMPERED',
  incomplete: 'INCOMPLETE',
  could_not_run: 'COULD NOT RUN',
};

function print(
  around: Surroundings,
  checked: readonly Checked[],
  status: VerificationStatus,
  { json }: ReceiptOptions,
): void {
  if (json) {
    printJson(around, { status, receipts: checked });
    return;
  }
  for (const { file, problem, ...report } of checked) {
    if (report.status === 'could_not_run') note(around, `sallyport: ${file}: ${problem ?? ''}`);
    else say(around, `${VERDICTS[report.status]}  ${file}: ${problem ?? proven(report)}`);
  }
  if (checked.length < 2) return;
  const counts = BY_WEIGHT.map(
    (one) => [one, checked.filter((c) => c.status === one).length] as const,
  )
    .filter(([, count]) => count > 0)
    .map(([one, count]) => `${count.toLocaleString('en-US')} ${VERDICTS[one].toLowerCase()}`);
  say(around, `${counted(checked.length, 'receipt')}: ${counts.join(', ')}.`);
}

function proven({ of, origin, size = 0, entries }: Omit<Checked, 'file' | 'problem'>): string {
  const what = of && 'request' in of ? of.request : `entry ${of?.entry ?? ''}`;
  const where = entries.map(({ kind, index }) => `${kind} at ${index}`).join(', ');
  const when = moment(entries[0]?.committedAt) ?? '';
  return `${what} of ${when} is in ${origin ?? ''}: ${where}, under the checkpoint of ${counted(size, 'entry', 'entries')}.`;
}
