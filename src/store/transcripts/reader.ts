/** Reading transcripts, through a connection that cannot write. */
import Database from 'better-sqlite3';
import type { KeptMode } from '../../core/transcripts/keeping.ts';
import type { BodyPart } from '../../core/transcripts/records.ts';
import { chunkId } from './database.ts';
import type { DestroyWhat } from './messages.ts';

/** A file of bodies, as it is stored. */
export interface TranscriptFile {
  id: number;
  /** SHA-256 of its bytes when it was written, hex; null while it is written to. */
  sha256: string | null;
  bytes: number;
  mode: KeptMode;
  /** Ids of those that it is sealed to, as a JSON array. */
  recipients: string;
  grantId: string;
  grantVersion: number;
  /** Epoch milliseconds. */
  at: number;
  destroyAt: number;
  /** cut: the broker died while it was written to. */
  state: 'open' | 'whole' | 'cut';
}

/** What a destruction would destroy. */
export interface DestroyTally {
  files: number;
  bodies: number;
  bytes: number;
  /** When the first and the last was written; null where there is none. */
  from: number | null;
  until: number | null;
  /** Files that stay because of what is held. */
  held: number;
  /** Files that are being written: they go once they are ended. How long they will be is not known. */
  open: number;
}

const FILE = `files.id, lower(hex(digest)) AS sha256, length AS bytes, mode, recipients, grant_id AS grantId,
  grant_version AS grantVersion, at, destroy_at AS destroyAt, state`;

const IS_MEANT = `id IN (
  SELECT id FROM files WHERE grant_id = @grant AND at <= @written
  UNION SELECT id FROM files WHERE grant_id = @grant AND destroy_at <= @due)`;

/** Files of a grant that are to be destroyed, but for what is held; and those that are to be once they are ended. */
export const TO_DESTROY = `state <> 'open' AND ${IS_MEANT}`;
export const STILL_OPEN = `state = 'open' AND ${IS_MEANT}`;
export const IS_HELD = `id IN (SELECT file FROM bodies WHERE request IN (SELECT value FROM json_each(@held)))`;

interface DestroyParams {
  grant: string;
  written: number;
  due: number;
  held: string;
}

const paramsOf = ({ grantId, writtenUntil, dueUntil, held }: DestroyWhat): DestroyParams => ({
  grant: grantId,
  written: writtenUntil ?? -1,
  due: dueUntil ?? -1,
  held: JSON.stringify(held),
});

export class TranscriptReader {
  readonly #db: Database.Database;
  readonly #statements;

  /** @param path of the database of transcripts, which is there */
  constructor(path: string) {
    const db = new Database(path, { readonly: true, fileMustExist: true });
    db.pragma('query_only = ON');
    this.#db = db;
    this.#statements = {
      fileOf: db.prepare<[string, BodyPart], TranscriptFile>(
        `SELECT ${FILE} FROM bodies JOIN files ON files.id = bodies.file WHERE request = ? AND part = ?`,
      ),
      chunks: db.prepare<[number, number], { id: number; bytes: Buffer }>(
        'SELECT id, bytes FROM chunks WHERE id >= ? AND id < ? ORDER BY id LIMIT 16',
      ),
      grants: db
        .prepare<[], string>(
          `WITH RECURSIVE named(id) AS (
             SELECT min(grant_id) FROM files
             UNION ALL SELECT (SELECT min(grant_id) FROM files WHERE grant_id > named.id) FROM named
             WHERE named.id IS NOT NULL)
           SELECT id FROM named WHERE id IS NOT NULL`,
        )
        .pluck(),
      oldest: db
        .prepare<[string], number | null>('SELECT min(at) FROM files WHERE grant_id = ?')
        .pluck(),
      firstDue: db
        .prepare<[string], number | null>('SELECT min(destroy_at) FROM files WHERE grant_id = ?')
        .pluck(),
      tally: db.prepare<[DestroyParams], Omit<DestroyTally, 'held' | 'bodies'>>(
        `SELECT count(*) AS files, coalesce(sum(length), 0) AS bytes, min(at) AS "from", max(at) AS until
         FROM files WHERE ${TO_DESTROY} AND NOT ${IS_HELD}`,
      ),
      bodies: db
        .prepare<[DestroyParams], number>(
          `SELECT count(*) FROM bodies WHERE file IN (SELECT id FROM files WHERE ${TO_DESTROY} AND NOT ${IS_HELD})`,
        )
        .pluck(),
      held: db
        .prepare<[DestroyParams], number>(
          `SELECT count(*) FROM files WHERE ${TO_DESTROY} AND ${IS_HELD}`,
        )
        .pluck(),
      open: db
        .prepare<[DestroyParams], number>(
          `SELECT count(*) FROM files WHERE ${STILL_OPEN} AND NOT ${IS_HELD}`,
        )
        .pluck(),
      lastRequests: db
        .prepare<[number], string>(
          'SELECT DISTINCT request FROM (SELECT request FROM bodies ORDER BY file DESC LIMIT ?)',
        )
        .pluck(),
      partsOf: db.prepare<[string], TranscriptFile & { part: BodyPart }>(
        `SELECT part, ${FILE} FROM bodies JOIN files ON files.id = bodies.file WHERE request = ? ORDER BY part`,
      ),
    };
  }

  /** The file that a body is in; undefined: it was never stored, or is destroyed. */
  fileOf(request: string, part: BodyPart): TranscriptFile | undefined {
    return this.#statements.fileOf.get(request, part);
  }

  /** Everything that is stored of a request. */
  partsOf(request: string): (TranscriptFile & { part: BodyPart })[] {
    return this.#statements.partsOf.all(request);
  }

  /** The bytes of a file, a few chunks at a time: between them, other work is done. */
  *chunksOf(file: number): Generator<Buffer[]> {
    let next = chunkId(file, 0);
    for (;;) {
      const rows = this.#statements.chunks.all(next, chunkId(file + 1, 0));
      const last = rows.at(-1);
      if (!last) return;
      yield rows.map(({ bytes }) => bytes);
      next = last.id + 1;
    }
  }

  /** Grants of which anything is stored. */
  grants(): string[] {
    return this.#statements.grants.all();
  }

  /** When the oldest transcript of all was written, epoch milliseconds; undefined: none is kept. */
  oldest(): number | undefined {
    const times = this.grants().flatMap((grant) => this.#statements.oldest.get(grant) ?? []);
    return times.length === 0 ? undefined : Math.min(...times);
  }

  /** Whether there can be anything to be destroyed of a grant: without looking at more than its first file. */
  hasDue({ grantId, writtenUntil, dueUntil }: Omit<DestroyWhat, 'held'>): boolean {
    const oldest = this.#statements.oldest.get(grantId) ?? Infinity;
    const firstDue = this.#statements.firstDue.get(grantId) ?? Infinity;
    return oldest <= (writtenUntil ?? -1) || firstDue <= (dueUntil ?? -1);
  }

  tally(what: DestroyWhat): DestroyTally {
    const params = paramsOf(what);
    const none = { files: 0, bytes: 0, from: null, until: null };
    return {
      ...(this.#statements.tally.get(params) ?? none),
      bodies: this.#statements.bodies.get(params) ?? 0,
      held: this.#statements.held.get(params) ?? 0,
      open: this.#statements.open.get(params) ?? 0,
    };
  }

  /** Requests of the bodies that were stored last, whatever the clock said: so many bodies. */
  lastRequests(bodies: number): string[] {
    return this.#statements.lastRequests.all(bodies);
  }

  close(): void {
    this.#db.close();
  }
}
