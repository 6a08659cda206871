/** `sallyport audit export`: the whole log as an evidence bundle, in a file. */
import { existsSync } from 'node:fs';
import { open, rename, rm, type FileHandle } from 'node:fs/promises';
import type { Command } from 'commander';
import { commandLine } from '../command-line.ts';
import { connect } from '../connection.ts';
import { defineBrokerCommand, type BrokerOptions } from '../define.ts';
import { counted, note, printJson, say } from '../output.ts';
import { failed, fileTrouble, unreachable, wrongUsage } from '../problems.ts';
import type { Surroundings } from '../surroundings.ts';

interface ExportOptions extends BrokerOptions {
  out: string;
}

export function addAuditExport(group: Command, around: Surroundings): void {
  defineBrokerCommand(group, 'export', {
    summary: 'Export the log as an evidence bundle that can be checked offline',
    details:
      'Writes to FILE.part and renames it when everything is there. The export goes on record.',
    examples: ['sallyport audit export --out evidence.tar'],
  })
    .requiredOption('--out <file>', 'where the bundle goes; must not exist yet')
    .action(async (options: ExportOptions) => {
      const { out } = options;
      refuseOverwriting(out);
      const broker = await connect(around, options);
      // Before anything is asked for: an export is on record even if nobody could keep it.
      const part = await create(`${out}.part`);
      const written = await orRemove(`${out}.part`, part, async () => {
        const response = await broker.request('POST', '/exports', {});
        return { bytes: await write(part, response), headers: response.headers };
      });
      refuseOverwriting(out);
      await rename(`${out}.part`, out);
      const size = Number(written.headers.get('x-sallyport-size'));
      const id = written.headers.get('x-sallyport-export');
      if (options.json) {
        printJson(around, { file: out, export: id, entries: size, bytes: written.bytes });
        return;
      }
      say(
        around,
        `Wrote ${out}: ${counted(size, 'entry', 'entries')}, ${counted(written.bytes, 'byte')}${id ? ` (${id})` : ''}.`,
      );
      note(around, `Check it with: ${commandLine(around, `audit verify ${out} --key KEY`)}`);
      const key = commandLine(around, 'audit key', options.profile);
      note(
        around,
        `Get the key from the host lab by another way than this bundle; "${key}" prints what the broker says it is.`,
      );
    });
}

function refuseOverwriting(path: string): void {
  if (existsSync(path))
    throw wrongUsage(
      `${path} exists already, and evidence is never overwritten: choose another name.`,
    );
}

async function create(path: string): Promise<FileHandle> {
  try {
    // The log names people: its copy is for its owner alone.
    return await open(path, 'wx', 0o600);
  } catch (error) {
    const hint =
      (error as NodeJS.ErrnoException).code === 'EEXIST'
        ? 'it exists already, of an export that is running or was broken off; if none is, remove it'
        : fileTrouble(error);
    throw wrongUsage(`Cannot write ${path}: ${hint}.`, error);
  }
}

/** Half a bundle is of no use to anybody. */
async function orRemove<T>(path: string, file: FileHandle, act: () => Promise<T>): Promise<T> {
  try {
    const result = await act();
    await file.close();
    return result;
  } catch (error) {
    await file.close().catch(() => undefined);
    await rm(path, { force: true });
    throw error;
  }
}

/** Writes the answer's body; on disk when it returns. Returns its length in bytes. */
async function write(file: FileHandle, { body }: Response): Promise<number> {
  let bytes = 0;
  for await (const piece of pieces(body)) {
    try {
      await file.writeFile(piece);
    } catch (error) {
      throw failed(`Cannot write the bundle: ${fileTrouble(error)}.`, error);
    }
    bytes += piece.length;
  }
  await file.sync();
  return bytes;
}

async function* pieces(body: Response['body']): AsyncGenerator<Uint8Array> {
  try {
    for await (const piece of body ?? []) yield piece as Uint8Array;
  } catch (error) {
    throw unreachable('The export broke off before its end. Try again.', error);
  }
}
