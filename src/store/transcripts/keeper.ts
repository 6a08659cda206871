/** The keeper of transcripts: stores files of bodies, each commit for all that came during the one before. */
import { createHash, hash, type Hash } from 'node:crypto';
import type { Keeping } from '../../core/transcripts/keeping.ts';
import type { SqliteConnection } from '../database.ts';
import { SameFiles } from '../same-files.ts';
import type { Done, FileStream, Seal, StoredFile, Work } from './messages.ts';
import { Rows, type FileRow } from './rows.ts';

/** Of `full`, a chunk has so many bytes at most. */
const PLAIN_CHUNK_BYTES = 65_536;

/** A body that is a file of its own, while it is written. */
interface Growing {
  stream: FileStream;
  row: FileRow;
  hash: Hash;
  length: number;
  /** When it is destroyed at the latest. */
  until: number;
}

/** Bodies as they are, in chunks. */
class PlainStream implements FileStream {
  update(bytes: Uint8Array): Buffer[] {
    const chunks: Buffer[] = [];
    for (let at = 0; at < bytes.length; at += PLAIN_CHUNK_BYTES)
      chunks.push(Buffer.from(bytes.subarray(at, at + PLAIN_CHUNK_BYTES)));
    return chunks;
  }

  final(): Buffer[] {
    return [];
  }
}

const sha256 = (chunks: readonly Buffer[]): Buffer =>
  chunks.length === 1
    ? hash('sha256', chunks[0] as Buffer, 'buffer')
    : chunks.reduce((sum, chunk) => sum.update(chunk), createHash('sha256')).digest();

const bodyKey = ({ request, part }: { request: string; part: string }): string =>
  `${request}:${part}`;

export class Keeper {
  readonly #db: SqliteConnection;
  readonly #seal: Seal;
  readonly #rows: Rows;
  readonly #files: SameFiles;
  readonly #growing = new Map<string, Growing>();
  /** Bodies that grew in the open transaction: should it fail, what is stored of them is not what was hashed. */
  #touched = new Set<string>();
  /** Something was destroyed: the write-ahead log still has it. */
  #destroyed = false;

  /** @param path of the database, which must stay the file that it is */
  constructor(db: SqliteConnection, path: string, seal: Seal) {
    this.#db = db;
    this.#seal = seal;
    this.#rows = new Rows(db);
    this.#files = new SameFiles([path, `${path}-wal`]);
    this.#finishCutFiles();
  }

  /** Does work in one transaction. When this returns, all of it is durable, or has failed. */
  commit(work: readonly Work[]): Done[] {
    this.#touched = new Set();
    this.#destroyed = false;
    try {
      this.#files.check();
      this.#db.exec('BEGIN IMMEDIATE');
      const done = work.map((one) => this.#doOne(one));
      this.#db.exec('COMMIT');
      if (this.#destroyed) this.#db.pragma('wal_checkpoint(TRUNCATE)');
      return done;
    } catch (error) {
      if (this.#db.inTransaction) this.#db.exec('ROLLBACK');
      for (const key of this.#touched) this.#growing.delete(key);
      const failed = error instanceof Error ? error.message : String(error);
      return work.map(({ id }) => ({ id, failed }));
    }
  }

  #doOne(work: Work): Done {
    const { id } = work;
    switch (work.kind) {
      case 'pack':
        return { id, files: this.#storePack(work) };
      case 'piece':
        return this.#storePiece(work);
      case 'withdraw':
        this.#growing.delete(bodyKey(work));
        this.#rows.withdraw(work);
        return { id, files: [] };
      case 'destroy': {
        const destroyed = this.#rows.destroy(work);
        if (destroyed.files > 0) this.#destroyed = true;
        return { id, destroyed };
      }
      case 'probe':
        this.#rows.touch();
        return { id, files: [] };
    }
  }

  /** Sealed, its bodies are one file: wrapping a key for each would cost more than the rest of their calls. */
  #storePack({ keeping, at, bodies, ends, bytes }: Extract<Work, { kind: 'pack' }>): StoredFile[] {
    if (keeping.mode === 'sealed') {
      const [id, file] = this.#storeWhole(keeping, at, bytes);
      for (const body of bodies) this.#rows.addBody(body, id);
      return bodies.map(() => file);
    }
    return bodies.map((body, i) => {
      const [id, file] = this.#storeWhole(keeping, at, bytes.subarray(ends[i - 1] ?? 0, ends[i]));
      this.#rows.addBody(body, id);
      return file;
    });
  }

  #storeWhole(keeping: Keeping, at: number, bytes: Uint8Array): [number, StoredFile] {
    const stream = this.#begin(keeping);
    const chunks = [...stream.update(bytes), ...stream.final()];
    const digest = sha256(chunks);
    const id = this.#rows.wholeFile(keeping, at, chunks, digest);
    const length = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
    return [id, { sha256: digest.toString('hex'), bytes: length, until: at + keeping.keepMs }];
  }

  #begin({ mode, recipients }: Keeping): FileStream {
    return mode === 'sealed' ? this.#seal(recipients) : new PlainStream();
  }

  #storePiece(piece: Extract<Work, { kind: 'piece' }>): Done {
    const { id, keeping, at, bytes, isFirst, isLast } = piece;
    const key = bodyKey(piece);
    let growing = this.#growing.get(key);
    if (!growing) {
      // A commit that failed took away what came before.
      if (!isFirst) return { id, failed: 'What came before of this body is lost.' };
      const row = this.#rows.beginFile(keeping, at);
      this.#rows.addBody(piece, row.id);
      const stream = this.#begin(keeping);
      const until = at + keeping.keepMs;
      growing = { stream, row, hash: createHash('sha256'), length: 0, until };
      this.#growing.set(key, growing);
    }
    this.#touched.add(key);
    const { stream, row, hash: sum } = growing;
    const finished = stream.update(bytes);
    if (isLast) finished.push(...stream.final());
    for (const chunk of finished) {
      this.#rows.addChunk(row, chunk);
      sum.update(chunk);
      growing.length += chunk.length;
    }
    if (!isLast) return { id, files: [] };
    const digest = sum.digest();
    this.#rows.finishFile(row.id, digest, growing.length, 'whole');
    this.#growing.delete(key);
    const { length, until } = growing;
    return { id, files: [{ sha256: digest.toString('hex'), bytes: length, until }] };
  }

  /** What a process that died was writing is kept as far as it is there. */
  #finishCutFiles(): void {
    this.#db.transaction(() => {
      for (const id of this.#rows.openFiles()) {
        const sum = createHash('sha256');
        let length = 0;
        for (const chunk of this.#rows.chunksOf(id)) {
          sum.update(chunk);
          length += chunk.length;
        }
        if (length === 0) this.#rows.forget(id);
        else this.#rows.finishFile(id, sum.digest(), length, 'cut');
      }
    })();
  }
}
