/** `sallyport audit verify`: checks an evidence bundle offline. Neither network nor profile is touched. */
import type { Command } from 'commander';
import { Finding } from '../../verify/finding.ts';
import { EXIT_CODES, verifyBundle, type BundleReport } from '../../audit/verify-bundle.ts';
import { defineCommand, setUsageExitCode, withJson } from '../define.ts';
import { VERIFY_EXIT_CODES_HELP } from '../exit-codes.ts';
import { counted, note, printJson, type JsonOption } from '../output.ts';
import { manyLines } from '../printable.ts';
import { QuietExit } from '../problems.ts';
import type { Surroundings } from '../surroundings.ts';
import { WEAKNESS, trustedKey, withKey, type KeyOptions } from './bundle-key.ts';

type VerifyOptions = JsonOption & KeyOptions;

export function addAuditVerify(group: Command, around: Surroundings): void {
  const command = defineCommand(group, 'verify <bundle>', {
    summary: 'Check an evidence bundle, offline',
    details:
      'Takes a bundle as "audit export" writes it, a report as "incident export" does, or a directory into which one was unpacked. Checks the signature of the checkpoint, every hash and every entry. Needs no broker, no network and no profile.',
    examples: [
      "sallyport audit verify evidence.tar --key 'audit.lab.example+1f2e3d4c+AR…'",
      'sallyport audit verify evidence.tar --key @lab-audit.vkey --json',
    ],
    exitCodes: VERIFY_EXIT_CODES_HELP,
  });
  setUsageExitCode(command, EXIT_CODES.could_not_run);
  withKey(withJson(command)).action(async (path: string, options: VerifyOptions) => {
    const report = await verify(around, path, options);
    print(around, report, options);
    throw new QuietExit(EXIT_CODES[report.status]);
  });
}

async function verify(
  around: Surroundings,
  path: string,
  options: VerifyOptions,
): Promise<BundleReport> {
  try {
    return await verifyBundle(path, await trustedKey(around, path, options));
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    const status = error instanceof Finding ? error.status : 'could_not_run';
    return { status, entriesChecked: 0, checked: [], problem };
  }
}

const VERDICTS: Record<BundleReport['status'], string> = {
  sound: 'SOUND',
  tampered: 'TAMPERED',
  incomplete: 'INCOMPLETE',
  could_not_run: 'COULD NOT RUN',
};

function print(around: Surroundings, report: BundleReport, options: VerifyOptions): void {
  const { trustKeyInBundle } = options;
  if (trustKeyInBundle) note(around, WEAKNESS);
  if (report.status === 'could_not_run')
    note(around, `sallyport: ${report.problem ?? 'The verification failed.'}`);
  if (options.json)
    printJson(around, { ...report, keyFrom: trustKeyInBundle ? 'bundle' : 'caller' });
  if (options.json || report.status === 'could_not_run') return;
  const lines = report.checked.map((what) => `  ok   ${what}`);
  if (report.problem !== undefined) lines.push(`  BAD  ${report.problem}`);
  lines.push(`${VERDICTS[report.status]}: ${verdict(report)}`);
  around.out(`${manyLines(lines.join('\n'))}\n`);
}

function verdict(report: BundleReport): string {
  const { origin, size = 0, root, entriesChecked, firstBadIndex, incident } = report;
  if (report.status === 'sound' && incident !== undefined)
    return `the report on ${incident} as it was handed out, with ${counted(entriesChecked, 'entry', 'entries')} of ${origin} under the signed root ${root}. What else is in the log, it does not say.`;
  if (report.status === 'sound')
    return `all ${counted(size, 'entry', 'entries')} of ${origin} up to the signed root ${root}. Whether others were shown the same log, only their checkpoints tell.`;
  // Not one check passed: the key, the file or the checkpoint is not what was meant, or forged.
  if (report.status === 'tampered' && report.checked.length === 0)
    return 'nothing in it is proven. If the key is the right one, and this the right file, it is forged.';
  const where = firstBadIndex === undefined ? '' : ` The first bad index is ${firstBadIndex}.`;
  return `${counted(entriesChecked, 'entry', 'entries')} checked and found right.${where}`;
}
