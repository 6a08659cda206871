/** The statements by which the keeper writes, each prepared once. */
import type { Keeping } from '../../core/transcripts/keeping.ts';
import type { SqliteConnection } from '../database.ts';
import { chunkId } from './database.ts';
import { IS_HELD, STILL_OPEN, TO_DESTROY } from './reader.ts';
import type { BodyName, DestroyWhat, Destroyed } from './messages.ts';
import type { WholeFile } from './whole-file.ts';

/** Files destroyed in one transaction: requests wait for it. */
const DESTROYED_AT_A_TIME = 64;

export interface FileRow {
  id: number;
  /** Chunks so far. */
  chunks: number;
}

export class Rows {
  readonly #statements;

  constructor(db: SqliteConnection) {
    this.#statements = {
      file: db.prepare<[string, string, string, number, number, number]>(
        `INSERT INTO files (digest, length, mode, recipients, grant_id, grant_version, at, destroy_at, state)
         VALUES (NULL, 0, ?, ?, ?, ?, ?, ?, 'open')`,
      ),
      wholeFile: db.prepare<[Buffer, number, string, string, string, number, number, number]>(
        `INSERT INTO files (digest, length, mode, recipients, grant_id, grant_version, at, destroy_at, state)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'whole')`,
      ),
      finish: db.prepare<[Buffer, number, string, number]>(
        'UPDATE files SET digest = ?, length = ?, state = ? WHERE id = ?',
      ),
      chunk: db.prepare<[number, Uint8Array]>('INSERT INTO chunks (id, bytes) VALUES (?, ?)'),
      chunksOf: db.prepare<[number, number], { bytes: Buffer }>(
        'SELECT bytes FROM chunks WHERE id >= ? AND id < ? ORDER BY id',
      ),
      body: db.prepare<[string, string, number]>(
        'INSERT INTO bodies (request, part, file) VALUES (?, ?, ?)',
      ),
      fileOf: db
        .prepare<[string, string], number>('SELECT file FROM bodies WHERE request = ? AND part = ?')
        .pluck(),
      forgetBody: db.prepare<[string, string]>('DELETE FROM bodies WHERE request = ? AND part = ?'),
      hasBodies: db
        .prepare<[number], number>('SELECT 1 FROM bodies WHERE file = ? LIMIT 1')
        .pluck(),
      forgetBodies: db.prepare<[number]>('DELETE FROM bodies WHERE file = ?'),
      forgetChunks: db.prepare<[number, number]>('DELETE FROM chunks WHERE id >= ? AND id < ?'),
      forgetFile: db.prepare<[number]>('DELETE FROM files WHERE id = ?'),
      takenOver: db.prepare<[], number>('SELECT generation FROM journal').pluck(),
      takeOver: db.prepare<[bigint]>('UPDATE journal SET generation = ?'),
      open: db.prepare<[], number>("SELECT id FROM files WHERE state = 'open'").pluck(),
      toDestroy: db
        .prepare<
          [{ grant: string; written: number; due: number; held: string; most: number }],
          number
        >(`SELECT id FROM files WHERE ${TO_DESTROY} AND NOT ${IS_HELD} LIMIT @most`)
        .pluck(),
      stillOpen: db
        .prepare<[{ grant: string; written: number; due: number; held: string }], number>(
          `SELECT count(*) FROM files WHERE ${STILL_OPEN} AND NOT ${IS_HELD}`,
        )
        .pluck(),
    };
  }

  /** Begins a file whose chunks follow. */
  beginFile(keeping: Keeping, at: number): FileRow {
    const { mode, recipientIds, grantId, version, keepMs } = keeping;
    const { lastInsertRowid } = this.#statements.file.run(
      mode,
      recipientIds,
      grantId,
      version,
      at,
      at + keepMs,
    );
    return { id: Number(lastInsertRowid), chunks: 0 };
  }

  /** A file of which everything is there, with its bodies. */
  addWhole({ keeping, at, bodies, chunks, digest, length }: WholeFile): void {
    const { mode, recipientIds, grantId, version, keepMs } = keeping;
    const due = at + keepMs;
    const { lastInsertRowid } = this.#statements.wholeFile.run(
      digest,
      length,
      mode,
      recipientIds,
      grantId,
      version,
      at,
      due,
    );
    const id = Number(lastInsertRowid);
    for (const [n, chunk] of chunks.entries()) this.#statements.chunk.run(chunkId(id, n), chunk);
    for (const body of bodies) this.addBody(body, id);
  }

  addChunk(file: FileRow, chunk: Uint8Array): void {
    this.#statements.chunk.run(chunkId(file.id, file.chunks), chunk);
    file.chunks += 1;
  }

  finishFile(id: number, digest: Buffer, length: number, state: 'whole' | 'cut'): void {
    this.#statements.finish.run(digest, length, state, id);
  }

  addBody({ request, part }: BodyName, file: number): void {
    this.#statements.body.run(request, part, file);
  }

  /** Takes a body off its file; a file that is left without any goes. */
  withdraw({ request, part }: BodyName): void {
    const file = this.#statements.fileOf.get(request, part);
    if (file === undefined) return;
    this.#statements.forgetBody.run(request, part);
    if (this.#statements.hasBodies.get(file) === undefined) this.forget(file);
  }

  /** Up to which generation of the journal everything is here. */
  get takenOver(): bigint {
    return BigInt(this.#statements.takenOver.get() ?? 0);
  }

  /** Notes that. It writes to the disk, whatever else there is. */
  takeOver(generation: bigint): void {
    this.#statements.takeOver.run(generation);
  }

  /** Files that a process left unfinished. */
  openFiles(): number[] {
    return this.#statements.open.all();
  }

  *chunksOf(file: number): Generator<Buffer> {
    for (const { bytes } of this.#statements.chunksOf.iterate(
      chunkId(file, 0),
      chunkId(file + 1, 0),
    ))
      yield bytes;
  }

  /** Destroys some of what is to be destroyed. */
  destroy({ grantId, writtenUntil, dueUntil, held }: DestroyWhat): Destroyed {
    const what = {
      grant: grantId,
      written: writtenUntil ?? -1,
      due: dueUntil ?? -1,
      held: JSON.stringify(held),
    };
    const ids = this.#statements.toDestroy.all({ ...what, most: DESTROYED_AT_A_TIME });
    for (const id of ids) this.forget(id);
    const more = ids.length === DESTROYED_AT_A_TIME;
    return { files: ids.length, more, open: this.#statements.stillOpen.get(what) ?? 0 };
  }

  /** Takes a file and its bodies away. */
  forget(file: number): void {
    this.#statements.forgetBodies.run(file);
    this.#statements.forgetChunks.run(chunkId(file, 0), chunkId(file + 1, 0));
    this.#statements.forgetFile.run(file);
  }
}
