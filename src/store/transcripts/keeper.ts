/** The keeper of transcripts: stores files of bodies, each commit for all that came during the one before. */
import { createHash, type Hash } from 'node:crypto';
import type { Keeping } from '../../core/transcripts/keeping.ts';
import type { SqliteConnection } from '../database.ts';
import type { Journal } from '../journal.ts';
import { SameFiles } from '../same-files.ts';
import type { Done, FileStream, Seal, StoredFile, Work } from './messages.ts';
import { PlainStream } from './plain-stream.ts';
import { Rows, type FileRow } from './rows.ts';
import { fromJournal, toJournal, wholeFile, type WholeFile } from './whole-file.ts';

/** A body that is a file of its own, while it is written. */
interface Growing {
  stream: FileStream;
  row: FileRow;
  hash: Hash;
  length: number;
  /** When it is destroyed at the latest. */
  until: number;
}

type Pack = Extract<Work, { kind: 'pack' }>;

const bodyKey = ({ request, part }: { request: string; part: string }): string =>
  `${request}:${part}`;

/**
 * Whole files are durable in a journal of fixed size, which takes a fraction of a commit of the database, and are carried
 * over into it soon; everything else goes into the database at once, with what the journal holds.
 */
export class Keeper {
  readonly #db: SqliteConnection;
  readonly #journal: Journal;
  readonly #seal: Seal;
  readonly #rows: Rows;
  readonly #files: SameFiles;
  readonly #growing = new Map<string, Growing>();
  /** What the journal holds and the database does not yet. */
  #backlog: WholeFile[] = [];
  #backlogBytes = 0;
  /**
   * A commit failed, of the journal or of the database, and may be on the disk all the same. The next one that succeeds
   * in the database voids it; until then nothing goes into the journal, which would follow the wrong one.
   */
  #isUncertain = false;
  /** Something was destroyed that the write-ahead log or the journal may still have: by a process that died, too. */
  #isErasing = true;

  /** @param path of the database, which must stay the file that it is */
  constructor(db: SqliteConnection, path: string, journal: Journal, seal: Seal) {
    this.#db = db;
    this.#journal = journal;
    this.#seal = seal;
    this.#rows = new Rows(db);
    this.#takeOver();
    this.#finishCutFiles();
    this.#files = new SameFiles([path, `${path}-wal`, journal.path]);
    // Should it fail now, it is tried again by the destruction, which is not finished.
    this.#afterErasing([]);
  }

  /** Bytes that are to be carried over. */
  get backlogBytes(): number {
    return this.#backlogBytes;
  }

  /** Does work. When this returns, all of it is durable, or has failed. */
  commit(work: readonly Work[]): Done[] {
    try {
      if (this.#isCaughtUp && work.every(({ kind }) => kind === 'catchUp'))
        return work.map(({ id }) => ({ id, files: [] }));
      const packs = work.filter((one) => one.kind === 'pack');
      const files = packs.map((pack) => this.#filesOf(pack));
      const isDone = packs.length === work.length && this.#intoJournal(files.flat());
      const done = isDone ? [] : this.#intoDatabase(work, files.flat());
      const stored = packs.map(({ id, bodies }, i): Done => ({
        id,
        files: answer(bodies, files[i]),
      }));
      return [...stored, ...done];
    } catch (error) {
      this.#isUncertain = true;
      const failed = error instanceof Error ? error.message : String(error);
      return work.map(({ id }) => ({ id, failed }));
    }
  }

  /** Carries over what the journal holds. What fails is tried again with the next commit. */
  carryOver(): void {
    if (this.#backlog.length > 0) this.commit([]);
  }

  get #isCaughtUp(): boolean {
    return this.#backlog.length === 0 && !this.#isUncertain;
  }

  /** Sealed, the bodies of a pack are one file: wrapping a key for each would cost more than the rest of their calls. */
  #filesOf({ keeping, at, bodies, ends, bytes }: Pack): WholeFile[] {
    if (keeping.mode === 'sealed')
      return [wholeFile(this.#seal(keeping.recipients), bytes, { keeping, at, bodies })];
    return bodies.map((body, i) =>
      wholeFile(new PlainStream(), bytes.subarray(ends[i - 1] ?? 0, ends[i]), {
        keeping,
        at,
        bodies: [body],
      }),
    );
  }

  /** @returns false where there is no room for them, or it is not to be relied on */
  #intoJournal(files: readonly WholeFile[]): boolean {
    if (files.length === 0 || this.#isUncertain) return false;
    // Crash before this has returned: the next start takes over all of them or none, and nobody was told.
    if (!this.#journal.append(0, files.map(toJournal))) return false;
    this.#files.check();
    this.#backlog.push(...files);
    for (const { length } of files) this.#backlogBytes += length;
    return true;
  }

  /** Carries the journal over, and does the work, in one transaction. Answers for all but packs. */
  #intoDatabase(work: readonly Work[], files: readonly WholeFile[]): Done[] {
    const touched = new Set<string>();
    const generation = this.#journal.generation;
    try {
      this.#db.exec('BEGIN IMMEDIATE');
      for (const file of [...this.#backlog, ...files]) this.#rows.addWhole(file);
      const done = work.flatMap((one) => (one.kind === 'pack' ? [] : [this.#doOne(one, touched)]));
      this.#rows.takeOver(generation);
      this.#db.exec('COMMIT');
      this.#journal.begin(generation + 1n);
      this.#backlog = [];
      this.#backlogBytes = 0;
      this.#files.checkFiles();
      this.#journal.mustBeWhole();
      this.#isUncertain = false;
      const destroys = work.some(({ kind }) => kind === 'destroy');
      this.#isErasing ||= destroys;
      // Whoever reads the write-ahead log is waited for: what calls store must not wait for that each time.
      return this.#isErasing && destroys ? this.#afterErasing(done) : done;
    } catch (error) {
      if (this.#db.inTransaction) this.#db.exec('ROLLBACK');
      // What is stored of them is not what was hashed.
      for (const key of touched) this.#growing.delete(key);
      throw error;
    }
  }

  /** Nothing is said to be destroyed before it is erased: a destruction is asked for until it is. */
  #afterErasing(done: Done[]): Done[] {
    try {
      this.#erase();
      return done;
    } catch (error) {
      const notErased = `What was destroyed could not be erased: ${String(error)}`;
      return done.map((one) => ('destroyed' in one ? { id: one.id, notErased } : one));
    }
  }

  /** What was destroyed is in the write-ahead log still, and may be in the journal. */
  #erase(): void {
    const [copied] = this.#db.pragma('wal_checkpoint(TRUNCATE)') as [{ busy: number }];
    if (copied.busy !== 0) throw new Error('the write-ahead log is being read.');
    this.#journal.wipe();
    this.#isErasing = false;
  }

  #doOne(work: Exclude<Work, Pack>, touched: Set<string>): Done {
    const { id } = work;
    switch (work.kind) {
      case 'piece':
        return this.#storePiece(work, touched);
      case 'withdraw':
        this.#growing.delete(bodyKey(work));
        this.#rows.withdraw(work);
        return { id, files: [] };
      case 'destroy':
        return { id, destroyed: this.#rows.destroy(work) };
      case 'catchUp':
        return { id, files: [] };
    }
  }

  #begin({ mode, recipients }: Keeping): FileStream {
    return mode === 'sealed' ? this.#seal(recipients) : new PlainStream();
  }

  #storePiece(piece: Extract<Work, { kind: 'piece' }>, touched: Set<string>): Done {
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
    touched.add(key);
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

  /** What the journal held when the process ended. */
  #takeOver(): void {
    const takenOver = this.#rows.takenOver;
    const frames = this.#journal.lackedFrames(takenOver);
    if (frames.length > 0)
      this.#db.transaction(() => {
        for (const { entries } of frames)
          for (const entry of entries) this.#rows.addWhole(fromJournal(entry));
        this.#rows.takeOver(takenOver + 1n);
      })();
    this.#journal.begin(this.#rows.takenOver + 1n);
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

/** For each body of a pack, the file that it is in. */
function answer(bodies: Pack['bodies'], files: readonly WholeFile[] = []): StoredFile[] {
  return bodies.map((_body, i) => {
    const { digest, length, at, keeping } = files[files.length === 1 ? 0 : i] as WholeFile;
    return { sha256: digest.toString('hex'), bytes: length, until: at + keeping.keepMs };
  });
}
