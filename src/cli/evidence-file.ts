/** Keeps evidence in a file: whole or not at all, and never over another one. */
import { existsSync } from 'node:fs';
import { open, rename, rm, type FileHandle } from 'node:fs/promises';
import { failed, fileTrouble, unreachable, wrongUsage } from './problems.ts';

/**
 * Writes what is answered to a file, by way of FILE.part.
 *
 * @param ask asks for it; called once the file can be written: an export is on record even if nobody could keep it
 * @returns its length in bytes, and the headers of the answer
 * @throws CliError
 */
export async function saveEvidence(
  path: string,
  ask: () => Promise<Response>,
): Promise<{ bytes: number; headers: Headers }> {
  const part = await create(`${path}.part`);
  const written = await orRemove(`${path}.part`, part, async () => {
    const response = await ask();
    return { bytes: await write(part, response), headers: response.headers };
  });
  refuseOverwriting(path);
  await rename(`${path}.part`, path);
  return written;
}

/** @throws CliError where there is something at that path */
export function refuseOverwriting(path: string): void {
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
