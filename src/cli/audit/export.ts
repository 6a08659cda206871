/** `sallyport audit export`: the log, or a part of it, in a file. */
import { Option, type Command } from 'commander';
import { EXPORT_FILES, exportFormatSchema, type ExportedFormat } from '../../core/audit/exports.ts';
import { wholeNumber } from '../arguments.ts';
import type { BrokerClient } from '../broker-client.ts';
import { commandLine } from '../command-line.ts';
import { connect } from '../connection.ts';
import { defineBrokerCommand, type BrokerOptions } from '../define.ts';
import { refuseOverwriting } from '../evidence-file.ts';
import { counted, note, printJson, say } from '../output.ts';
import { CliError, failed, unreachable, wrongUsage } from '../problems.ts';
import type { Surroundings } from '../surroundings.ts';
import { ExportProgress } from './export-progress.ts';
import { exportSchema, type ShownExport } from './export-wire.ts';
import { PartialFile } from './partial-file.ts';
import { searchQuery, withSearchOptions, type SearchOptions } from './search-options.ts';

/** The broker makes an export anew before it goes on with it. */
const RESUME_PATIENCE_MS = 290_000;

/** What an export is of, and where it goes. */
export interface ExportOptions extends BrokerOptions, SearchOptions {
  format: ExportedFormat;
  /** Of an archive: up to the entry in front of this index. */
  before?: number;
  out?: string;
  to?: number;
  witnessed?: boolean;
  resume?: boolean;
}

export function addAuditExport(group: Command, around: Surroundings): void {
  const command = defineBrokerCommand(group, 'export', {
    summary: 'Export the log: as an evidence bundle that can be checked offline, or for analysis',
    details:
      'Writes to FILE.part and renames it when everything is there and has the right digest. What was cut goes on with --resume, within seven days. The export goes on record.',
    examples: [
      'sallyport audit export --out evidence.tar',
      'sallyport audit export --out evidence.tar --resume',
      'sallyport audit export --format parquet --grant grt_01… --out calls.parquet',
      'sallyport audit export --format csv --kind request.denied --since 2027-01-01T00:00:00Z',
    ],
  })
    .addOption(
      new Option('--format <format>', 'a bundle proves; the others are for analysis')
        .choices(exportFormatSchema.options)
        .default('bundle'),
    )
    .option('--out <file>', 'where it goes; must not exist yet (default: audit.EXTENSION)')
    .option('--to <index>', 'up to the entry before this index', wholeNumber(0))
    .option('--witnessed', 'up to the newest checkpoint that enough witnesses have cosigned');
  withSearchOptions(command)
    .option('--resume', 'go on with an export to the same file that was cut')
    .action((options: ExportOptions) => exportToFile(around, options));
}

/** Begins an export, or goes on with one, and keeps it in a file. */
export async function exportToFile(around: Surroundings, options: ExportOptions): Promise<void> {
  const file = new PartialFile(options.out ?? `audit.${EXPORT_FILES[options.format].extension}`);
  refuseOverwriting(file.path);
  if (options.resume) await resume(around, options, file);
  else await begin(around, options, file);
}

/** What is asked for, as the API takes it. */
function askedOf(around: Surroundings, options: ExportOptions): object {
  const { format, before, to, witnessed } = options;
  if (format === 'archive') return before === undefined ? {} : { before };
  const asked = { format, to, witnessed, ...searchQuery(around, options) };
  return Object.fromEntries(Object.entries(asked).filter(([, value]) => value !== undefined));
}

async function begin(
  around: Surroundings,
  options: ExportOptions,
  file: PartialFile,
): Promise<void> {
  // First: an export is on record even if nobody could keep it.
  await file.create();
  const opened = await orRemove(file, async () => {
    const broker = await connect(around, options);
    const path = options.format === 'archive' ? '/log/archives' : '/exports';
    const response = await broker.request('POST', path, askedOf(around, options));
    const exportId = response.headers.get('x-sallyport-export') ?? '';
    await file.note({ url: broker.url, export: exportId, format: options.format });
    return { broker, response, exportId };
  });
  const { broker, response, exportId } = opened;
  const isFiltered = Object.keys(askedOf(around, options)).some(
    (name) => !['format', 'from', 'to', 'witnessed', 'before'].includes(name),
  );
  await receive(around, options, file, { broker, exportId, isFiltered }, response, 0);
}

async function resume(
  around: Surroundings,
  options: ExportOptions,
  file: PartialFile,
): Promise<void> {
  if (Object.keys(askedOf(around, options)).some((name) => name !== 'format'))
    throw wrongUsage('What is resumed is what was asked for before: leave out ranges and filters.');
  const part = await file.partOf();
  const broker = await connect(around, options);
  if (broker.url !== part.url)
    throw wrongUsage(`${file.path}.part is of an export from ${part.url}: name that broker.`);
  const about = { broker, exportId: part.export, isFiltered: true };
  const from = await file.length();
  const { completed } = await broker.get(`/exports/${part.export}`, exportSchema);
  if (completed?.bytes === from) return finish(around, options, file, about);
  if (completed && completed.bytes < from)
    throw failed(`${file.path}.part is longer than the export. Remove it, and export again.`);
  const range = { range: `bytes=${from}-`, 'if-range': `"${part.export}"` };
  const content = `/exports/${part.export}/content`;
  const response = await broker.request('GET', content, undefined, range, RESUME_PATIENCE_MS);
  // A broker that cannot give a part gives the whole.
  await receive(around, options, file, about, response, response.status === 206 ? from : 0);
}

interface About {
  broker: BrokerClient;
  exportId: string;
  isFiltered: boolean;
}

async function receive(
  around: Surroundings,
  options: ExportOptions,
  file: PartialFile,
  about: About,
  { body }: Response,
  from: number,
): Promise<void> {
  const progress = new ExportProgress(around, about.broker, about.exportId, about.isFiltered);
  try {
    await file.append(body, from, (bytes) => progress.took(bytes));
  } catch (error) {
    progress.end();
    if (!(error instanceof CliError)) throw error;
    note(around, `Go on where it was: ${resumeLine(around, options, file)}`);
    throw error;
  }
  progress.end();
  await finish(around, options, file, about);
}

const resumeLine = (
  around: Surroundings,
  { format, profile }: ExportOptions,
  { path }: PartialFile,
): string => {
  const formatted = format === 'bundle' ? 'export' : `export --format ${format}`;
  const command = format === 'archive' ? 'archive' : formatted;
  return commandLine(around, `audit ${command} --out ${path} --resume`, profile);
};

/** Holds the file against what the broker has on record of it, and gives it its name. */
async function finish(
  around: Surroundings,
  options: ExportOptions,
  file: PartialFile,
  { broker, exportId }: About,
): Promise<void> {
  const shown = await broker.get(`/exports/${exportId}`, exportSchema);
  const { completed } = shown;
  const bytes = await file.length();
  if (!completed || bytes < completed.bytes) {
    note(around, `Go on where it was: ${resumeLine(around, options, file)}`);
    throw unreachable(`The export broke off after ${counted(bytes, 'byte')}.`);
  }
  if (bytes !== completed.bytes || (await file.digest()) !== completed.sha256)
    throw failed(
      `${file.path}.part is not what the broker has on record of the export. Remove it, and export again.`,
    );
  refuseOverwriting(file.path);
  await file.complete();
  report(around, options, file.path, exportId, shown);
}

function report(
  around: Surroundings,
  options: ExportOptions,
  path: string,
  exportId: string,
  { completed, ...shown }: ShownExport,
): void {
  const { format, json, profile } = options;
  const { entries = 0, bytes = 0, sha256 } = completed ?? {};
  if (json) {
    const { checkpoint, from: first } = shown;
    printJson(around, {
      file: path,
      export: exportId,
      format,
      first,
      entries,
      bytes,
      sha256,
      checkpoint,
    });
    return;
  }
  const amount = `${counted(entries, 'entry', 'entries')}, ${counted(bytes, 'byte')}`;
  say(around, `Wrote ${path}: ${amount} (${exportId}).`);
  const { from, to } = shown;
  if (format === 'archive') {
    noteArchive(around, path, exportId, { from, to });
    return;
  }
  if (from > 0 && options.from === undefined)
    note(
      around,
      `The log begins at entry ${from} here: what was before is in archives ("${commandLine(around, 'audit archives', profile)}").`,
    );
  if (format !== 'bundle') return;
  note(around, `Check it with: ${commandLine(around, `audit verify ${path} --key KEY`)}`);
  const key = commandLine(around, 'audit key', profile);
  note(
    around,
    `Get the key from the host lab by another way than this bundle; "${key}" prints what the broker says it is.`,
  );
}

function noteArchive(
  around: Surroundings,
  path: string,
  exportId: string,
  { from, to }: Pick<ShownExport, 'from' | 'to'>,
): void {
  const check = commandLine(around, `audit verify --archive ${path} --key KEY`);
  note(around, `It has the entries ${from} to ${to - 1}. Check it with: ${check}`);
  const prune = commandLine(around, `audit prune --export ${exportId} --archive ${path}`);
  note(
    around,
    `Everybody concerned was told. When the time of notice is over, an admin, another person than you, can prune: ${prune}`,
  );
}

async function orRemove<T>(file: PartialFile, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    await file.remove();
    throw error;
  }
}
