/** The main thread's side of the keeper of transcripts: hands bodies over, and hears when they are durable. */
import { setTimeout as delay } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { RefusedError, refusal } from '../../core/denials.ts';
import type { Keeping } from '../../core/transcripts/keeping.ts';
import type { Clock } from '../../lib/clock.ts';
import { KeptBody, type BodyPiece, type HandsOver, type WholeBody } from './kept-body.ts';
import type {
  BodyName,
  Destroyed,
  DestroyWhat,
  Done,
  FromKeeper,
  ToKeeper,
  Work,
} from './messages.ts';
import { WaitingBodies } from './packing.ts';
import { Patience } from './patience.ts';

/**
 * Messages that the keeper has not answered. While it is at one, all that comes waits for the next: bodies that are sealed
 * together cost less.
 */
const MOST_POSTED = 1;

/** Bytes handed over and not stored yet, of all bodies: beyond it, upstreams are read no further. */
const MOST_BYTES = 16 << 20;

/** Deadlines are looked at so often. */
const LOOK_EVERY_MS = 25;

/** The keeper may take this long to finish what is queued when the broker stops. */
const STOP_DEADLINE_MS = 5_000;

/** Whoever reads is told within this time that nothing can be read. */
const CATCH_UP_MS = 5_000;

/** What no request waits for. */
const UNHURRIED_MS = 60_000;

/** One who waits for work, or for one body of a pack. */
interface Waiter {
  resolve(this: void, done: Done): void;
  reject(this: void, error: Error): void;
  /** By {@link Patience}. */
  dueAt: number;
  /** The body that is to be withdrawn, should it be stored after its caller was told that it was not. */
  name: BodyName | undefined;
  isOverdue: boolean;
}

/** One who has more to hand over than there is room for. */
interface WaiterForRoom {
  resolve(this: void): void;
  reject(this: void, error: Error): void;
  dueAt: number;
}

const unavailable = (): RefusedError => new RefusedError(refusal('transcript_unavailable'));

export class TranscriptStore {
  readonly #worker: Worker;
  readonly #clock: Clock;
  readonly #bodies = new WaitingBodies();
  /** Other work that is still to go. */
  #outbox: Work[] = [];
  /** By the id of their work. */
  readonly #waiters = new Map<number, { waiting: Waiter[]; bytes: number }>();
  #lastId = 0;
  /** Messages that are not answered. */
  #posted = 0;
  #isPosting = false;
  /** Of what was handed over and is not answered. */
  #bytes = 0;
  #forRoom: WaiterForRoom[] = [];
  readonly #patience = new Patience();
  #timer: NodeJS.Timeout | undefined;
  #isWritable = true;
  #isProbing = false;
  #gone = false;
  #stopped: (() => void) | undefined;
  /** Told why when nothing can be stored any more, the first time; and undefined when something can again. */
  onTrouble: (why: string | undefined) => void = () => undefined;

  private constructor(worker: Worker, clock: Clock) {
    this.#worker = worker;
    this.#clock = clock;
    worker.on('message', (message: FromKeeper) => this.#receive(message));
    worker.on('error', (error) => this.#lose(`its thread failed: ${error.message}`));
    worker.on('exit', () => this.#lose('its thread has ended'));
  }

  /**
   * Starts the keeper's thread.
   *
   * @param thread its compiled file
   * @param settings where the database of transcripts is
   * @throws when that cannot be used, with the reason
   */
  static async open(
    thread: URL,
    settings: { path: string },
    clock: Clock,
  ): Promise<TranscriptStore> {
    const worker = new Worker(thread, { workerData: settings });
    await new Promise<void>((resolve, reject) => {
      worker.once('error', reject);
      worker.once('exit', () => reject(new Error('The keeper of transcripts did not start.')));
      worker.once('message', (message: FromKeeper) => {
        if (message.kind === 'ready') return resolve();
        const isRefusal = message.kind === 'refused_to_start';
        reject(new Error(isRefusal ? message.reason : 'The keeper of transcripts did not start.'));
      });
    });
    worker.removeAllListeners('error').removeAllListeners('exit');
    return new TranscriptStore(worker, clock);
  }

  /** Whether something could be stored when that was last tried: after a failure, `probe` tries. */
  get isWritable(): boolean {
    return !this.#gone && this.#isWritable;
  }

  /**
   * Begins to keep a body.
   *
   * @param body.salt of the commitments in the entries of its call, base64
   * @param body.patienceMs what takes longer than this to store, of it or of any part of it, has failed
   */
  keep(keeping: Keeping, body: BodyName & { salt: string; patienceMs: number }): KeptBody {
    return new KeptBody(this.#parts, keeping, body);
  }

  /**
   * Resolves when readers of the database see all that callers have been told is stored.
   *
   * @throws RefusedError `transcript_unavailable`
   */
  async caughtUp(): Promise<void> {
    await this.#send({ kind: 'catchUp', id: this.#nextId() }, CATCH_UP_MS);
  }

  /** Tries whether something can be stored, unless that is being tried. */
  probe(): void {
    if (this.#isProbing || this.#gone) return;
    this.#isProbing = true;
    this.caughtUp()
      .catch(() => undefined)
      .finally(() => (this.#isProbing = false));
  }

  /**
   * Destroys some of what is to be destroyed: when this returns, the disk has zeros in its place, as far as SQLite can
   * say that.
   *
   * @throws RefusedError `transcript_unavailable`
   */
  async destroy(what: DestroyWhat): Promise<Destroyed> {
    const done = await this.#send({ kind: 'destroy', id: this.#nextId(), ...what });
    if (!('destroyed' in done)) throw unavailable();
    return done.destroyed;
  }

  /** Takes a body back whose call never was. @throws RefusedError `transcript_unavailable` */
  async withdraw({ request, part }: BodyName): Promise<void> {
    await this.#send({ kind: 'withdraw', id: this.#nextId(), request, part });
  }

  /** Lets the keeper finish what is queued, and closes its database. */
  async close(): Promise<void> {
    if (!this.#gone) {
      const stopped = new Promise<void>((resolve) => (this.#stopped = resolve));
      this.#post();
      this.#tell({ kind: 'stop' });
      // A disk that hangs must not keep the process.
      const patience = setTimeout(() => this.#stopped?.(), STOP_DEADLINE_MS);
      await stopped;
      clearTimeout(patience);
    }
    clearInterval(this.#timer);
    const patience = delay(STOP_DEADLINE_MS, undefined, { ref: false });
    await Promise.race([this.#worker.terminate(), patience]);
    this.#worker.unref();
  }

  readonly #parts: HandsOver = {
    whole: (keeping, body) => this.#addWhole(keeping, body),
    piece: (keeping, piece) => this.#addPiece(keeping, piece),
    room: (dueAt) => this.#room(dueAt),
    now: () => this.#patience.now,
    // What cannot be withdrawn now is collected at the next start.
    withdraw: (name) => void this.withdraw(name).catch(() => undefined),
  };

  #nextId(): number {
    return (this.#lastId += 1);
  }

  #addWhole(keeping: Keeping, body: WholeBody): void {
    if (this.#gone) return body.reject(unavailable());
    this.#bodies.add(keeping, body);
    this.#bytes += body.bytes.length;
    this.#postSoon();
  }

  #addPiece(keeping: Keeping, piece: BodyPiece): void {
    if (this.#gone) return piece.reject(unavailable());
    const { name, bytes, isFirst, isLast, dueAt, reject, resolve } = piece;
    const id = this.#nextId();
    this.#outbox.push({
      kind: 'piece',
      id,
      keeping,
      at: this.#clock(),
      ...name,
      bytes,
      isFirst,
      isLast,
    });
    this.#bytes += bytes.length;
    const done = (answer: Done): void => resolve('files' in answer ? answer.files[0] : undefined);
    this.#wait(id, [{ resolve: done, reject, dueAt, name, isOverdue: false }], bytes.length);
    this.#postSoon();
  }

  #send(work: Work, deadlineMs = UNHURRIED_MS): Promise<Done> {
    if (this.#gone) return Promise.reject(unavailable());
    return new Promise((resolve, reject) => {
      this.#outbox.push(work);
      const dueAt = this.#patience.now + deadlineMs;
      this.#wait(work.id, [{ resolve, reject, dueAt, name: undefined, isOverdue: false }], 0);
      this.#postSoon();
    });
  }

  #wait(id: number, waiting: Waiter[], bytes: number): void {
    this.#waiters.set(id, { waiting, bytes });
  }

  #postSoon(): void {
    this.#timer ??= setInterval(() => {
      this.#patience.look();
      // What the keeper has answered is read first.
      setImmediate(() => this.#look());
    }, LOOK_EVERY_MS);
    if (this.#isPosting || this.#posted >= MOST_POSTED) return;
    this.#isPosting = true;
    setImmediate(() => {
      this.#isPosting = false;
      if (this.#posted < MOST_POSTED) this.#post();
    });
  }

  #post(): void {
    const packs = this.#bodies.packs().map(({ keeping, bodies, ends, bytes }): Work => {
      const id = this.#nextId();
      const waiting = bodies.map(({ name, dueAt, reject, resolve }, i): Waiter => {
        const done = (answer: Done): void =>
          resolve('files' in answer ? answer.files[i] : undefined);
        return { resolve: done, reject, dueAt, name, isOverdue: false };
      });
      const handedOver = bodies.reduce((sum, body) => sum + body.bytes.length, 0);
      this.#wait(id, waiting, handedOver);
      const names = bodies.map(({ name }) => name);
      return { kind: 'pack', id, keeping, at: this.#clock(), bodies: names, ends, bytes };
    });
    const work = [...packs, ...this.#outbox];
    this.#outbox = [];
    if (work.length > 0 && !this.#gone) this.#tell({ kind: 'work', work });
  }

  #tell(message: ToKeeper): void {
    const work = message.kind === 'work' ? message.work : [];
    if (message.kind === 'work') this.#posted += 1;
    this.#worker.postMessage(
      message,
      work.flatMap((one) => ('bytes' in one ? [one.bytes.buffer as ArrayBuffer] : [])),
    );
  }

  #receive(message: FromKeeper): void {
    if (message.kind === 'stopped') {
      this.#gone = true;
      this.#stopped?.();
    } else if (message.kind === 'done') {
      this.#posted = Math.max(0, this.#posted - message.messages);
      for (const done of message.done) this.#answer(done);
      if (this.#outbox.length > 0 || !this.#bodies.isEmpty) this.#postSoon();
    }
  }

  #answer(done: Done): void {
    const waiters = this.#waiters.get(done.id);
    this.#waiters.delete(done.id);
    if ('failed' in done) this.#trouble(done.failed);
    else this.#works();
    if (!waiters) return;
    this.#handedBack(waiters.bytes);
    for (const { isOverdue, name, resolve, reject } of waiters.waiting) {
      if ('failed' in done || 'notErased' in done) {
        if (!isOverdue) reject(unavailable());
      } else if (!isOverdue) resolve(done);
      else if (name) this.#parts.withdraw(name);
    }
  }

  #room(dueAt: number): Promise<void> | undefined {
    if (this.#bytes < MOST_BYTES) return undefined;
    return new Promise((resolve, reject) => this.#forRoom.push({ resolve, reject, dueAt }));
  }

  #handedBack(bytes: number): void {
    this.#bytes -= bytes;
    if (this.#bytes < MOST_BYTES) for (const { resolve } of this.#forRoom.splice(0)) resolve();
  }

  #works(): void {
    if (this.#isWritable) return;
    this.#isWritable = true;
    this.onTrouble(undefined);
  }

  #trouble(why: string): void {
    for (const { reject } of this.#forRoom.splice(0)) reject(unavailable());
    if (!this.#isWritable) return;
    this.#isWritable = false;
    this.onTrouble(why);
  }

  /** Tells those whose time is up. */
  #look(): void {
    const { now } = this.#patience;
    let overdue = 0;
    for (const body of this.#bodies.takeOut(({ dueAt }) => dueAt <= now)) {
      overdue += 1;
      this.#handedBack(body.bytes.length);
      body.reject(unavailable());
    }
    for (const { waiting } of this.#waiters.values())
      for (const waiter of waiting) {
        if (waiter.isOverdue || waiter.dueAt > now) continue;
        waiter.isOverdue = true;
        overdue += 1;
        waiter.reject(unavailable());
      }
    if (this.#forRoom.some(({ dueAt }) => dueAt <= now)) overdue += 1;
    if (overdue > 0) this.#trouble('the disk takes too long');
    if (this.#waiters.size > 0 || !this.#bodies.isEmpty) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** The thread is gone, and does not come back. */
  #lose(why: string): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#trouble(why);
    for (const body of this.#bodies.takeOut(() => true)) body.reject(unavailable());
    for (const { waiting } of this.#waiters.values())
      for (const { isOverdue, reject } of waiting) if (!isOverdue) reject(unavailable());
    this.#waiters.clear();
    this.#stopped?.();
  }
}
