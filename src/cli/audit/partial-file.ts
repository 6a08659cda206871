/**
 * The file of an export that is not complete: FILE.part, and beside it FILE.part.json, which says what it is a part of.
 * Only what is complete and has the right digest gets the name FILE.
 */
import { createHash } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import { open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { z } from 'zod';
import { CliError, failed, fileTrouble, unreachable, wrongUsage } from '../problems.ts';

const partSchema = z.object({ url: z.string(), export: z.string(), format: z.string() });

/** Which export a partial file is of. */
export type PartOf = z.infer<typeof partSchema>;

export class PartialFile {
  readonly path: string;
  readonly #part: string;
  readonly #note: string;

  /** @param path what it is to be called when it is complete */
  constructor(path: string) {
    this.path = path;
    this.#part = `${path}.part`;
    this.#note = `${path}.part.json`;
  }

  /** Makes it, empty, for its owner alone: the log names people. @throws CliError */
  async create(): Promise<void> {
    try {
      const file = await open(this.#part, 'wx', 0o600);
      await file.close();
    } catch (error) {
      const isThere = (error as NodeJS.ErrnoException).code === 'EEXIST';
      // Its note is written with the answer's headers: without it there is nothing to go on with.
      if (isThere && !existsSync(this.#note)) throw this.#beginning(error);
      throw wrongUsage(
        isThere
          ? `There is ${this.#part}, of an export that is running or was cut. Go on with it: --resume. Or remove it.`
          : `Cannot write ${this.#part}: ${fileTrouble(error)}.`,
        error,
      );
    }
  }

  #beginning(cause?: unknown): CliError {
    return wrongUsage(
      `There is ${this.#part}, of an export that is just beginning, or was cut before anything came: there is nothing to go on with. If none is running, remove it and export again, without --resume.`,
      cause,
    );
  }

  /** What it is a part of. @throws CliError where there is no such file */
  async partOf(): Promise<PartOf> {
    if (existsSync(this.#part) && !existsSync(this.#note)) throw this.#beginning();
    if (!existsSync(this.#part) || !existsSync(this.#note))
      throw wrongUsage(
        `There is nothing to resume: ${this.#part} and ${this.#note} are not both there. Export again, without --resume.`,
      );
    const { data } = partSchema.safeParse(parsed(await readFile(this.#note, 'utf8')));
    return (
      data ?? Promise.reject(wrongUsage(`${this.#note} is not what an export left. Remove both.`))
    );
  }

  async note(what: PartOf): Promise<void> {
    await writeFile(this.#note, `${JSON.stringify(what)}\n`, { mode: 0o600 });
  }

  /** Bytes so far. */
  async length(): Promise<number> {
    return (await stat(this.#part)).size;
  }

  /**
   * Appends what is answered, or begins anew with it. On the disk when it returns.
   *
   * @param took is called with the length after each piece
   * @throws CliError where the answer breaks off; what came stays
   */
  async append(body: Response['body'], from: number, took: (bytes: number) => void): Promise<void> {
    const file = await open(this.#part, 'r+');
    try {
      await file.truncate(from);
      let at = from;
      for await (const piece of pieces(body)) {
        await file.write(piece, 0, piece.length, at);
        at += piece.length;
        took(at);
      }
      await file.sync();
    } catch (error) {
      if (error instanceof CliError) throw error;
      throw failed(`Cannot write ${this.#part}: ${fileTrouble(error)}.`, error);
    } finally {
      await file.close();
    }
  }

  /** SHA-256, hex. */
  async digest(): Promise<string> {
    const hash = createHash('sha256');
    await pipeline(createReadStream(this.#part), hash);
    return hash.digest('hex');
  }

  /** Gives it its name. */
  async complete(): Promise<void> {
    await rename(this.#part, this.path);
    await rm(this.#note, { force: true });
  }

  /** Takes it away: of what was refused, nothing came. */
  async remove(): Promise<void> {
    await rm(this.#part, { force: true });
    await rm(this.#note, { force: true });
  }
}

async function* pieces(body: Response['body']): AsyncGenerator<Uint8Array> {
  try {
    for await (const piece of body ?? []) yield piece as Uint8Array;
  } catch (error) {
    throw unreachable('The export broke off before its end.', error);
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
