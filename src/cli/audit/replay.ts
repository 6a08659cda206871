/** `sallyport audit replay`: what stood at a moment, from an evidence bundle alone. Neither network nor profile is touched. */
import { withHistory, type TrustedKeys } from '../../audit/known-keys.ts';
import type { Command } from 'commander';
import { EXIT_CODES, verifyBundle, type BundleReport } from '../../audit/verify-bundle.ts';
import { toldAt, type Told } from '../../core/audit/replay-report.ts';
import { replay } from '../../core/audit/replay.ts';
import { nothingReplayed } from '../../core/audit/replayed.ts';
import { levelInWords, ownEnd } from '../../core/orders/order.ts';
import { selectorInWords } from '../../core/orders/selector.ts';
import { instant, several, wholeNumber } from '../arguments.ts';
import { defineCommand, setUsageExitCode, withJson } from '../define.ts';
import { VERIFY_EXIT_CODES_HELP } from '../exit-codes.ts';
import { counted, moment, note, printJson, printTable, say, type JsonOption } from '../output.ts';
import { QuietExit } from '../problems.ts';
import type { Surroundings } from '../surroundings.ts';
import {
  coverageOf,
  giveEntries,
  mustBeOfOneLog,
  verifyArchives,
  withTilesOf,
} from './verify-archives.ts';
import { WEAKNESS, trustedKeys, withKey, type KeyOptions } from './bundle-key.ts';

interface ReplayOptions extends JsonOption, KeyOptions {
  at?: string;
  upTo?: number;
  archive?: string[];
}

export function addAuditReplay(group: Command, around: Surroundings): void {
  const command = defineCommand(group, 'replay <bundle>', {
    summary: 'Tell from an evidence bundle what stood at a moment, offline',
    details:
      'Checks the bundle as "audit verify" does and, if it is sound, makes from its entries the grants with their status, the orders in force, the people and the live tokens of a moment. Of a log that was pruned, it takes the archives as well. Needs no broker, no network and no profile. What the entries do not tell is said.',
    examples: [
      'sallyport audit replay evidence.tar --key @lab-audit.vkey',
      'sallyport audit replay evidence.tar --key @lab-audit.vkey --at 2026-06-15T12:00:00Z --json',
      'sallyport audit replay evidence.tar --archive archive-2026.tar --key @lab-audit.vkey',
    ],
    exitCodes: VERIFY_EXIT_CODES_HELP,
  });
  setUsageExitCode(command, EXIT_CODES.could_not_run);
  withKey(withJson(command))
    .option(
      '--at <instant>',
      'the moment (RFC 3339); without it, when the last entry was made',
      instant,
    )
    .option(
      '--up-to <index>',
      'as of this entry of the log, and the moment it was made',
      wholeNumber(0),
    )
    .option('--archive <file>', 'an archive of what was pruned; again for each', several)
    .action(async (path: string, options: ReplayOptions) => {
      const { report, told, at } = await replayBundle(around, path, options);
      if (options.trustKeyInBundle) note(around, WEAKNESS);
      if (told === undefined) {
        note(around, `sallyport: ${report.problem ?? 'The bundle could not be checked.'}`);
        if (report.status !== 'sound')
          note(
            around,
            'Nothing is told from a bundle that is not sound ("sallyport audit verify").',
          );
        throw new QuietExit(EXIT_CODES[report.status]);
      }
      if (options.json) printJson(around, { at: new Date(at).toISOString(), ...jsonOf(told) });
      else print(around, told, at, report);
    });
}

interface Replay {
  report: BundleReport;
  /** Undefined where the bundle is not sound. */
  told: Told | undefined;
  /** The moment, epoch milliseconds. */
  at: number;
}

async function replayBundle(
  around: Surroundings,
  path: string,
  options: ReplayOptions,
): Promise<Replay> {
  const { upTo = Infinity } = options;
  const until = options.at === undefined ? Infinity : Date.parse(options.at);
  const state = nothingReplayed();
  // Entries are ordered by index: what comes after one that is too late is too late, whatever its clock said.
  let isOver = false;
  const onEntry = (bytes: Uint8Array): void => {
    isOver ||= state.size > upTo || !replay(state, bytes, until);
  };
  try {
    if (options.at !== undefined && options.upTo !== undefined)
      throw new Error('--at and --up-to exclude each other: give one of them.');
    const keys = await trustedKeys(around, path, options);
    const report = await verifyWhole(path, keys, options.archive ?? [], onEntry);
    if (report.incident !== undefined)
      throw new Error(
        `This is the report on ${report.incident}: it has ${report.entriesChecked} of ${report.size ?? 0} entries, and what stood takes them all. Give it a bundle of "sallyport audit export".`,
      );
    if (upTo !== Infinity && upTo >= (report.size ?? 0))
      throw new Error(
        `The bundle has ${report.size ?? 0} entries: --up-to takes 0 to ${(report.size ?? 1) - 1}.`,
      );
    const at = until === Infinity ? (state.until ?? 0) : until;
    return { report, told: report.status === 'sound' ? toldAt(state, at) : undefined, at };
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    const report = { status: 'could_not_run' as const, entriesChecked: 0, checked: [], problem };
    return { report, told: undefined, at: 0 };
  }
}

/**
 * Checks a bundle and what is in front of it, and gives the entries in the order of the log.
 *
 * @throws Finding where archives are not sound, or do not have all that the bundle lacks
 */
async function verifyWhole(
  path: string,
  keys: TrustedKeys,
  archives: readonly string[],
  onEntry: (bytes: Uint8Array) => void,
): Promise<BundleReport> {
  const report = await verifyBundle(path, keys);
  if (report.status !== 'sound' || report.incident !== undefined) return report;
  const { archived, checkpoint = '' } = report;
  const found = await verifyArchives(archives, withHistory(keys, report.keyHistory));
  await withTilesOf(path, (readTile) => mustBeOfOneLog(found, { note: checkpoint, readTile }));
  const [gap] = coverageOf(found, archived).missing;
  if (gap !== undefined)
    throw new Error(
      `The log was pruned, and what stood takes all of its entries: hand in the archive that has the entries ${gap.from} to ${gap.to - 1} with --archive ("audit archives" says which it is).`,
    );
  await giveEntries(found, archived?.before ?? 0, onEntry);
  await verifyBundle(path, keys, onEntry);
  return report;
}

/** Sets and endless ends have no JSON. */
function jsonOf({ grants, ...told }: Told): object {
  return {
    ...told,
    grants: grants.map(({ grant, standing, roster }) => ({
      ...grant,
      status: standing.status,
      statusReason: standing.refusal,
      roster: roster.map(({ until, ...place }) => ({
        ...place,
        until: until === Infinity ? null : until,
      })),
    })),
  };
}

function print(around: Surroundings, told: Told, at: number, { size, origin }: BundleReport): void {
  const { grants, orders, people, tokens, gaps } = told;
  say(
    around,
    `As of ${moment(at) ?? ''}, by the first ${counted(told.entries, 'entry', 'entries')} of ${size ?? 0} of ${origin ?? ''}:`,
  );
  section(
    around,
    'Grants',
    ['id', 'lab', 'status', 'version', 'until', 'models', 'people'],
    grants.map(({ grant, standing, roster }) => [
      grant.id,
      grant.spec.lab,
      standing.status,
      grant.version,
      grant.spec.window.until,
      grant.spec.endpoints.flatMap(({ models }) => models).join(', '),
      roster
        .filter(({ until, removed }) => until > at && !removed)
        .map(({ personId }) => personId)
        .join(', '),
    ]),
  );
  section(
    around,
    'Orders in force',
    ['id', 'level', 'about', 'issued by', 'ratified by', 'ends'],
    orders.map((order) => [
      order.id,
      levelInWords(order.level),
      selectorInWords(order.selector),
      order.issuedBy,
      order.ratifiedBy,
      moment(ownEnd(order)?.at),
    ]),
  );
  section(
    around,
    'People',
    ['id', 'lab', 'name', 'roles', 'keys', 'removed'],
    people.map(({ id, labId, name, roles, kids, removedAt }) => [
      id,
      labId,
      name,
      roles.join(', '),
      kids.length,
      moment(removedAt),
    ]),
  );
  const forModels = tokens.filter(({ audience }) => audience === 'gateway').length;
  say(
    around,
    `Live: ${counted(forModels, 'token')} for models, ${counted(tokens.length - forModels, 'token')} for the control API.`,
  );
  for (const { index, kind, why } of gaps)
    note(around, `Not told by entry ${index} (${kind}): ${why}`);
}

function section(
  around: Surroundings,
  title: string,
  head: string[],
  rows: Parameters<typeof printTable>[2],
): void {
  say(around, '');
  if (rows.length === 0) {
    say(around, `${title}: none.`);
    return;
  }
  say(around, `${title}:`);
  printTable(around, head, rows);
}
