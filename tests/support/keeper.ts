/** The keeper of transcripts in this thread, over a directory of its own; killed and started again where a test wants it. */
import type { SqliteConnection } from '../../src/store/database.ts';
import { cpSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { Keeping } from '../../src/core/transcripts/keeping.ts';
import { Journal } from '../../src/store/journal.ts';
import { openTranscripts } from '../../src/store/transcripts/database.ts';
import { Keeper } from '../../src/store/transcripts/keeper.ts';
import type { Done, Work } from '../../src/store/transcripts/messages.ts';
import { PlainStream } from '../../src/store/transcripts/plain-stream.ts';
import { makeDataDirectory } from './store.ts';

const FILES = ['transcripts.db', 'transcripts.db-wal', 'transcripts.journal'];

const GRANT = 'grt_1';

const KEEPING: Keeping = {
  grantId: GRANT,
  version: 1,
  mode: 'full',
  recipients: [],
  recipientIds: '[]',
  keepMs: 1_000,
};

/** Journals that fail as a disk would. */
export class BadJournal extends Journal {
  /** The frame is on the disk, and its sync says that it is not. */
  losesAppends = false;
  cannotWipe = false;

  override append(...args: Parameters<Journal['append']>): boolean {
    const fits = super.append(...args);
    if (this.losesAppends) throw new Error('input/output error');
    return fits;
  }

  override wipe(): void {
    if (this.cannotWipe) throw new Error('input/output error');
    super.wipe();
  }
}

export class HeldKeeper {
  readonly directory: string;
  readonly db: SqliteConnection;
  readonly journal: BadJournal;
  readonly keeper: Keeper;
  #lastId = 0;

  constructor(directory = makeDataDirectory()) {
    this.directory = directory;
    this.db = openTranscripts(this.path('transcripts.db'));
    this.journal = new BadJournal(this.path('transcripts.journal'));
    this.keeper = new Keeper(
      this.db,
      this.path('transcripts.db'),
      this.journal,
      () => new PlainStream(),
    );
    onTestFinished(() => {
      this.db.close();
      this.journal.close();
    });
  }

  path(file: string): string {
    return join(this.directory, file);
  }

  /** What a start finds if this process is killed now. @param spoil changes the files before that */
  killed(spoil: (path: (file: string) => string) => void = () => undefined): HeldKeeper {
    const directory = makeDataDirectory();
    for (const file of FILES)
      if (existsSync(this.path(file))) cpSync(this.path(file), join(directory, file));
    spoil((file) => join(directory, file));
    return new HeldKeeper(directory);
  }

  /** Stores a body of each request. */
  store(...requests: string[]): Done {
    return this.storeBytes(requests, (request) => `body of ${request}`);
  }

  storeBytes(requests: string[], bodyOf: (request: string) => string): Done {
    const bodies = requests.map((request) => ({ request, part: 'request' as const }));
    let end = 0;
    const bytes = requests.map((request) => Buffer.from(bodyOf(request)));
    const ends = bytes.map(({ length }) => (end += length));
    return this.work({
      kind: 'pack',
      keeping: KEEPING,
      at: 0,
      bodies,
      ends,
      bytes: Buffer.concat(bytes),
    });
  }

  /** Stores a body of a request by a clock that says this. */
  storeAt(request: string, at: number): Done {
    const bytes = Buffer.from(`body of ${request}`);
    const bodies = [{ request, part: 'request' as const }];
    return this.work({ kind: 'pack', keeping: KEEPING, at, bodies, ends: [bytes.length], bytes });
  }

  destroy(): Done {
    return this.work({
      kind: 'destroy',
      grantId: GRANT,
      writtenUntil: 0,
      dueUntil: null,
      held: [],
    });
  }

  /** Begins a body that is a file of its own, or goes on with it. */
  piece(request: string, { isFirst = false, isLast = false }): Done {
    const bytes = Buffer.from(`piece of ${request}`);
    const name = { request, part: 'response' as const };
    return this.work({ kind: 'piece', keeping: KEEPING, at: 0, ...name, bytes, isFirst, isLast });
  }

  catchUp(): Done {
    return this.work({ kind: 'catchUp' });
  }

  work(work: WithoutId<Work>): Done {
    this.#lastId += 1;
    const [done] = this.keeper.commit([{ ...work, id: this.#lastId }]);
    if (!done) throw new Error('The keeper did not answer.');
    return done;
  }

  /** What readers of the database find: the body of each request. */
  found(): Record<string, string> {
    const rows = this.db
      .prepare<[], [string, Buffer]>(
        `SELECT request, bytes FROM bodies JOIN chunks ON chunks.id / 1048576 = bodies.file ORDER BY chunks.id`,
      )
      .raw()
      .all();
    const found: Record<string, string> = {};
    for (const [request, bytes] of rows) found[request] = (found[request] ?? '') + bytes.toString();
    return found;
  }

  /** Whether a text is anywhere in the files. */
  holds(text: string): boolean {
    return FILES.some(
      (file) => existsSync(this.path(file)) && readFileSync(this.path(file)).includes(text),
    );
  }
}

type WithoutId<T> = T extends unknown ? Omit<T, 'id'> : never;
