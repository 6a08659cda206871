/** `sallyport audit statement`: what calls left in the log, held against the receipts of them. */
import type { Command } from 'commander';
import { reachOf } from '../../core/authority.ts';
import type { Member } from '../../core/people.ts';
import { NoteError } from '../../core/audit/note.ts';
import { CheckpointError, openCheckpoint, type LogKey } from '../../core/tlog/checkpoint.ts';
import { knownKeys, type TrustedKeys } from '../../audit/known-keys.ts';
import { EXIT_CODES, type VerificationStatus } from '../../audit/verify-bundle.ts';
import {
  holdReceipts,
  isTogether,
  type HeldReceipt,
  type Holder,
  type Holding,
} from '../../audit/hold-receipts.ts';
import { verifyReceipt } from '../../audit/verify-receipt.ts';
import { day, id, several } from '../arguments.ts';
import type { BrokerClient } from '../broker-client.ts';
import { commandLine } from '../command-line.ts';
import { connect } from '../connection.ts';
import { defineBrokerCommand, type BrokerOptions } from '../define.ts';
import { EXIT_CODES_HELP } from '../exit-codes.ts';
import { counted, note, printJson, printTable, say } from '../output.ts';
import { QuietExit, wrongUsage } from '../problems.ts';
import {
  askEntryReceipt,
  askStatedEntries,
  askStatements,
  type Found,
  type WhichCalls,
} from '../receipts/ask.ts';
import { fetchKeyHistory } from './http-log.ts';
import { brokenFrom } from '../receipts/consistency.ts';
import { readReceiptFile, receiptPaths } from '../receipts/files.ts';
import { givenKeys, historyOption } from './bundle-key.ts';
import type { StatedEntry, Statement, StatementCheckpoint } from '../receipts/wire.ts';
import { meSchema } from '../wire.ts';
import type { Surroundings } from '../surroundings.ts';

interface StatementOptions extends BrokerOptions {
  of?: string;
  run?: string;
  day?: string;
  since?: string;
  receipts?: string[];
  /** `--key` says who calls, as in every command that talks to a broker. */
  logKey?: string[];
  history?: string[];
}

/** Things that are named one by one. */
const MOST_NAMED = 20;

export function addAuditStatement(group: Command, around: Surroundings): void {
  defineBrokerCommand(group, 'statement', {
    summary: 'Show what calls left in the log, by person, run and day',
    details:
      'Counts, tokens and a digest over the entries, as of a signed checkpoint. With --receipts it is held against receipts: it says which of them the log does not count, which calls have no receipt, and whether the log was continued from the checkpoints of the receipts. Days are of UTC. The reading goes on record.',
    examples: [
      'sallyport audit statement --day 2026-05-31',
      'sallyport audit statement --run run_01… --receipts receipts --log-key @lab-audit.vkey',
    ],
    exitCodes: `${EXIT_CODES_HELP}\nWith --receipts:\n  0  the log counts exactly these calls\n  1  it does not, or something was tampered with\n  2  calls have no receipt, or a receipt is incomplete\n  3  could not run`,
  })
    .option('--of <id>', "of this person's calls", id('per'))
    .option('--run <id>', 'of calls under this run', id('run'))
    .option('--day <day>', 'of calls of this UTC day, such as 2026-05-31', day)
    .option('--since <day>', 'of calls from this UTC day on', day)
    .option(
      '--receipts <path>',
      'hold it against these receipts, or those in this directory; may be given several times',
      several,
    )
    .option(
      '--log-key <key>',
      "with --receipts: the log's verifier key, or @FILE that holds it",
      several,
    )
    .addOption(historyOption())
    .action(async (options: StatementOptions) => {
      const { of, run, day: on, since, receipts, logKey } = options;
      if (receipts === undefined && logKey !== undefined)
        throw wrongUsage('--log-key is for --receipts: give both, or neither.');
      const which = { person: of, run, day: on, since };
      if (receipts)
        throw new QuietExit(await heldAgainst(around, options, which, receipts, logKey));
      const broker = await connect(around, options);
      const found = await askStatements(broker, which);
      if (options.json) printJson(around, found);
      else print(around, found);
    });
}

/** Statements count what was pruned as before: the index and the hashes of it stay. */
function noteArchived(around: Surroundings, before: number | null): void {
  if (before === null) return;
  note(
    around,
    `Entries below ${before} are in archives: they are counted here as before, and your receipts of them hold; the entries themselves the host lab has ("${commandLine(around, 'audit archives')}").`,
  );
}

function print(
  around: Surroundings,
  { checkpoint: { origin, size, root }, items, archivedBefore }: Found<Statement>,
): void {
  if (items.length === 0) note(around, 'None.');
  else
    printTable(
      around,
      [
        'day',
        'person',
        'run',
        'requests',
        'outcomes',
        'refusals',
        'answered',
        'tokens in',
        'tokens out',
        'entries',
        'digest',
      ],
      items.map((one) => [
        one.day,
        one.person,
        one.run,
        one.requests,
        one.outcomes,
        one.refusals,
        one.answered,
        one.inputTokens,
        one.outputTokens,
        `${one.entries} (${one.first} to ${one.last})`,
        one.digest,
      ]),
    );
  noteArchived(around, archivedBefore);
  say(
    around,
    `As of the checkpoint of ${counted(size, 'entry', 'entries')} of ${origin}, root ${root}.`,
  );
}

/** Never throws: with receipts, exit codes are those of a verification. */
async function heldAgainst(
  around: Surroundings,
  options: StatementOptions,
  which: WhichCalls,
  paths: string[],
  given: string[] | undefined,
): Promise<number> {
  try {
    const keys = givenKeys(around, given, options.history);
    if (keys.keys.length === 0)
      throw wrongUsage(
        "To check receipts takes the log's verifier key: give --log-key with the key as the host lab published it, got by another way than the receipts.",
      );
    const files = receiptPaths(paths);
    const broker = await connect(around, options);
    const held = await hold(broker, which, files, keys);
    if (options.json) printJson(around, held);
    else printHeld(around, held);
    return EXIT_CODES[held.status];
  } catch (error) {
    note(around, `sallyport: ${error instanceof Error ? error.message : String(error)}`);
    return EXIT_CODES.could_not_run;
  }
}

interface Held extends Holding {
  status: VerificationStatus;
  checkpoint: StatementCheckpoint;
  statements: Statement[];
  archivedBefore: number | null;
  /** Where the log was not continued from what receipts show. */
  broken: string[];
}

async function hold(
  broker: BrokerClient,
  which: WhichCalls,
  files: readonly string[],
  keys: TrustedKeys,
): Promise<Held> {
  const history = await fetchKeyHistory(broker.url);
  // Before anything is asked for: by then, the log has all that they show.
  const receipts = files.map((file): HeldReceipt => {
    const read = readReceiptFile(file);
    return 'problem' in read
      ? { file, status: 'could_not_run', entries: [], problem: read.problem }
      : { file, ...verifyReceipt(read.bytes, keys, history) };
  });
  const { checkpoint, items: statements, archivedBefore } = await askStatements(broker, which);
  const listed = await entriesOf(broker, which, statements, checkpoint.size);
  const holder = { ...which, self: broker.person, reach: await reachBy(broker) };
  const fetched = await fetchTogether(broker, listed, keys, history);
  const holding = holdReceipts(checkpoint, holder, statements, listed, receipts, fetched);
  const known = knownKeys(keys, checkpoint.note, { offered: history });
  const broken = await brokenByStatement(broker, checkpoint, receipts, known);
  const status = statusOf(holding, broken);
  return { status, checkpoint, statements, archivedBefore, broken, ...holding };
}

/** Whose calls whoever asks may see, by the word of the broker. */
async function reachBy(broker: BrokerClient): Promise<Holder['reach']> {
  const { person, lab } = await broker.get('/me', meSchema);
  const reach = reachOf({ person, lab } as unknown as Member, 'log.read');
  if (reach === 'self') return 'self';
  return reach === 'lab' ? { lab: lab.id } : 'all';
}

/** Receipts of refusals that were recorded together: nobody was told of an id under which to keep one. */
async function fetchTogether(
  broker: BrokerClient,
  listed: readonly StatedEntry[],
  keys: TrustedKeys,
  history: string | undefined,
): Promise<HeldReceipt[]> {
  const receipts: HeldReceipt[] = [];
  for (const entry of listed) {
    if (!isTogether(entry)) continue;
    const { index } = entry;
    const file = `the receipt of entry ${index}`;
    const bytes = await askEntryReceipt(broker, index);
    if (bytes !== undefined) receipts.push({ file, ...verifyReceipt(bytes, keys, history) });
  }
  return receipts;
}

/** The entries of everybody that there is a statement of, as of the same checkpoint. */
async function entriesOf(
  broker: BrokerClient,
  which: WhichCalls,
  statements: readonly Statement[],
  size: number,
): Promise<StatedEntry[]> {
  const listed: StatedEntry[] = [];
  for (const person of new Set(statements.map((one) => one.person)))
    listed.push(...(await askStatedEntries(broker, { ...which, person }, size)).items);
  return listed;
}

async function brokenByStatement(
  broker: BrokerClient,
  { note: newest }: StatementCheckpoint,
  receipts: readonly { status: VerificationStatus; checkpoint?: string }[],
  keys: readonly LogKey[],
): Promise<string[]> {
  try {
    openCheckpoint(newest, keys);
  } catch (error) {
    if (!(error instanceof NoteError || error instanceof CheckpointError)) throw error;
    return [`The checkpoint of the statement is not to be trusted. ${error.message}`];
  }
  const older = receipts.flatMap(({ status, checkpoint }) =>
    checkpoint !== undefined && (status === 'sound' || status === 'incomplete') ? [checkpoint] : [],
  );
  return brokenFrom(broker.url, new Set(older), newest, keys);
}

function statusOf(holding: Holding, broken: readonly string[]): VerificationStatus {
  const { unsound, notCounted, contradictions, withoutReceipt, behind, beyond } = holding;
  const has = (status: VerificationStatus): boolean => unsound.some((one) => one.status === status);
  const wrong = broken.length + notCounted.length + contradictions.length;
  if (wrong > 0 || behind !== undefined || has('tampered')) return 'tampered';
  if (withoutReceipt.length + beyond.length > 0 || has('incomplete')) return 'incomplete';
  return has('could_not_run') ? 'could_not_run' : 'sound';
}

function printHeld(around: Surroundings, held: Held): void {
  print(around, { ...held, items: held.statements });
  const bad = [
    ...(held.behind === undefined
      ? []
      : [
          `The broker answered as of ${counted(held.checkpoint.size, 'entry', 'entries')}, and receipts show that the log had ${held.behind}: it was rolled back, or an old state of it is shown.`,
        ]),
    ...held.broken,
    ...held.contradictions,
    ...held.notCounted.map(
      ({ file, index, request }) =>
        `${file}: the statement does not count its entry ${index}${request === undefined ? '' : ` of ${request}`}, or counts another one there.`,
    ),
    ...held.unsound.map(({ file, problem }) => `${file}: ${problem}`),
  ];
  for (const line of bad) say(around, `  BAD  ${line}`);
  const { withoutReceipt } = held;
  for (const { index, kind, request } of withoutReceipt.slice(0, MOST_NAMED))
    say(around, `  NO RECEIPT  ${request ?? ''} (${kind} at ${index})`);
  if (withoutReceipt.length > MOST_NAMED)
    say(
      around,
      `  NO RECEIPT  and ${withoutReceipt.length - MOST_NAMED} entries more: --json lists all`,
    );
  const byWord = withoutReceipt.filter(
    (entry) => isTogether(entry) && entry.index < (held.archivedBefore ?? 0),
  ).length;
  if (byWord > 0)
    say(
      around,
      `  NOT SHOWN  ${counted(byWord, 'entry', 'entries')} of refusals that were recorded together: by the broker's word they are in an archive, and it gives no receipt of them. Ask the host lab to show them.`,
    );
  if (held.together > byWord)
    note(
      around,
      `${counted(held.together - byWord, 'entry', 'entries')} of refusals that were recorded together: their receipts were asked for just now.`,
    );
  for (const file of new Set(held.beyond))
    say(
      around,
      `  NOT HELD  ${file}: the broker says that you may not see the calls of this person.`,
    );
  for (const file of held.again)
    note(around, `${file} holds a receipt that another file holds as well: it counts once.`);
  if (held.others > 0)
    note(around, `${counted(held.others, 'receipt')} of other calls than were asked for.`);
  say(around, `${VERDICTS[held.status]}: ${counted(held.agreeing, 'receipt')} as the log counts.`);
}

const VERDICTS: Record<VerificationStatus, string> = {
  sound: 'SOUND',
  tampered: 'TAMPERED',
  incomplete: 'INCOMPLETE',
  could_not_run: 'COULD NOT RUN',
};
