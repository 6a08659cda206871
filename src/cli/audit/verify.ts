/** `sallyport audit verify`: checks a bundle or a directory offline, without network or profile; or a running broker. */
import { Option, type Command } from 'commander';
import { EXIT_CODES, type BundleReport } from '../../audit/verify-bundle.ts';
import { several } from '../arguments.ts';
import { defineCommand, setUsageExitCode, withJson } from '../define.ts';
import { VERIFY_EXIT_CODES_HELP } from '../exit-codes.ts';
import { counted, note, printJson, type JsonOption } from '../output.ts';
import { manyLines } from '../printable.ts';
import { QuietExit } from '../problems.ts';
import type { Surroundings } from '../surroundings.ts';
import { WEAKNESS, withKey } from './bundle-key.ts';
import { verifyTarget, type TargetOptions, type Verified } from './verify-target.ts';
import { withWitnesses } from './witness-options.ts';

type VerifyOptions = JsonOption & TargetOptions;

export function addAuditVerify(group: Command, around: Surroundings): void {
  const command = defineCommand(group, 'verify [target]', {
    summary: 'Check the log: an evidence bundle, a directory of tiles, or a running broker',
    details: `Takes a bundle as "audit export" writes it, a report as "incident export" does, a directory into which one was unpacked, a directory of tiles as a mirror keeps it (C2SP tlog-tiles), or the URL of a broker. Checks the signature of the checkpoint, every hash, and every entry that is to be had. For files it needs no broker, no network and no profile.

A directory of tiles or a broker must continue the last checkpoint of that log that this machine saw; where it does not, both checkpoints are kept as the proof.

Of a log that was pruned, the beginning is in archives: it is sound where the log itself says so. That these were archived, and not lost, is the word of the host: with --archive, they are checked as well, and against it; without a target, by themselves. With --all-entries, what is in no archive that was handed in is incomplete.

Without --key, the keys in the file "log-keys" beside the profiles are trusted, one to a line. A key that the log itself offers is never trusted.`,
    examples: [
      "sallyport audit verify evidence.tar --key 'audit.lab.example+1f2e3d4c+AR…'",
      'sallyport audit verify evidence.tar --key @lab-audit.vkey --json',
      'sallyport audit verify evidence.tar --key @lab-audit.vkey --witness @partner-witness.vkey',
      'sallyport audit verify https://sallyport.lab.example --key @lab-audit.vkey',
      'sallyport audit verify /srv/mirror/lab-audit --key @lab-audit.vkey',
      'sallyport audit verify evidence.tar --archive archive-2026.tar --key @lab-audit.vkey',
    ],
    exitCodes: VERIFY_EXIT_CODES_HELP,
  });
  setUsageExitCode(command, EXIT_CODES.could_not_run);
  withWitnesses(withKey(withJson(command)))
    .option('--profile <name>', 'of a broker: read the entries as the person of this profile')
    .addOption(
      new Option('--entries', 'say nothing unless the entries can be checked, too').conflicts(
        'hashesOnly',
      ),
    )
    .addOption(
      new Option(
        '--all-entries',
        'incomplete unless all are checked, archived ones (--archive) included',
      ).conflicts('hashesOnly'),
    )
    .option('--archive <file>', 'an archive of what was pruned; again for each', several)
    .option('--hashes-only', 'check signature and hashes, and leave the entries alone')
    .action(async (target: string | undefined, options: VerifyOptions) => {
      const verified = await verifyTarget(around, target, options);
      print(around, verified, options);
      throw new QuietExit(EXIT_CODES[verified.report.status]);
    });
}

const VERDICTS: Record<BundleReport['status'], string> = {
  sound: 'SOUND',
  tampered: 'TAMPERED',
  incomplete: 'INCOMPLETE',
  could_not_run: 'COULD NOT RUN',
};

function print(around: Surroundings, verified: Verified, options: VerifyOptions): void {
  const { report, target, withoutEntries, notChecked, conflict, notes } = verified;
  const { trustKeyInBundle } = options;
  if (trustKeyInBundle) note(around, WEAKNESS);
  for (const more of notes) note(around, more);
  if (report.status === 'could_not_run')
    note(around, `sallyport: ${report.problem ?? 'The verification failed.'}`);
  if (options.json) {
    const keyFrom = trustKeyInBundle ? 'bundle' : 'caller';
    printJson(around, { ...report, target, withoutEntries, notChecked, conflict, keyFrom });
    return;
  }
  if (report.status === 'could_not_run') return;
  const lines = report.checked.map((what) => `  ok   ${what}`);
  if (report.problem !== undefined) lines.push(`  BAD  ${report.problem}`);
  if (withoutEntries !== undefined) lines.push(`  --   entries not checked: ${withoutEntries}`);
  if (conflict !== undefined) lines.push(`       both checkpoints are kept in ${conflict}`);
  lines.push(`${VERDICTS[report.status]}: ${verdict(verified)}`);
  around.out(`${manyLines(lines.join('\n'))}\n`);
}

function verdict({ report, target, withoutEntries, notChecked }: Verified): string {
  const { origin, size = 0, root, entriesChecked, firstBadIndex, incident } = report;
  if (report.status === 'sound') {
    if (incident !== undefined)
      return `the report on ${incident} as it was handed out, with ${counted(entriesChecked, 'entry', 'entries')} of ${origin} under the signed root ${root}. What else is in the log, it does not say.`;
    if (target === 'archives')
      return `the archived ${counted(entriesChecked, 'entry', 'entries')} of ${origin}, under the signed root ${root} of ${size} entries. Of the others, the archives say nothing.`;
    const archived = report.archived;
    if (archived !== undefined) {
      const rest = notChecked === undefined ? [{ from: 0, to: archived.before }] : notChecked;
      const unchecked = rest.map(({ from, to }) => `${from} to ${to - 1}`).join(', ');
      const beyond = rest.length === 0 ? '' : `; not the archived entries ${unchecked}`;
      return `the ${counted(size, 'entry', 'entries')} of ${origin} up to the signed root ${root}: all from ${archived.before} on${rest.length === 0 ? ', and those in the archives' : ''}${beyond}.`;
    }
    const what = withoutEntries === undefined ? 'all' : 'the hashes of all';
    const rest =
      target === 'bundle'
        ? ' Whether others were shown the same log, only their checkpoints tell.'
        : '';
    return `${what} ${counted(size, 'entry', 'entries')} of ${origin} up to the signed root ${root}.${rest}`;
  }
  // Not one check passed: the key, the file or the checkpoint is not what was meant, or forged.
  if (report.status === 'tampered' && report.checked.length === 0)
    return 'nothing in it is proven. If the key is the right one, and this the right file, it is forged.';
  const where = firstBadIndex === undefined ? '' : ` The first bad index is ${firstBadIndex}.`;
  return `${counted(entriesChecked, 'entry', 'entries')} checked and found right.${where}`;
}
