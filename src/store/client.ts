/** The main thread's side of the store: calls whole operations and applies what commits change. */
import { setTimeout as delay } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { RefusedError, refusal } from '../core/denials.ts';
import type { Clock } from '../lib/clock.ts';
import type { PolicyChange } from './context.ts';
import type { Answer, Call, Committed } from './group-commit.ts';
import type { ArgsOf, OperationName, ResultOf } from './operations/index.ts';
import type { FromWriter, ToWriter, WriterSettings } from './thread-messages.ts';
import { WaitingCalls, type WaitingCall } from './waiting-calls.ts';

/** A caller is told within this time that the log cannot be written, however the disk hangs. */
const WRITE_DEADLINE_MS = 900;

/**
 * What must not be lost waits longer: the outcome of a request that was answered and paid for, and whatever
 * takes access away. Told after a second that it failed, whoever asked would lose the answer, or believe that
 * nothing has ended.
 */
const PATIENT_DEADLINE_MS = 10_000;
const PATIENT: ReadonlySet<OperationName> = new Set([
  'settle',
  'issueOrder',
  'revokeGrant',
  'closeGrant',
  'revokeTokens',
  'endRun',
  'handBackAccess',
  'removePerson',
  'removePersonKey',
  'setLabIdentity',
  'removeLabIdentity',
  'retireSigningKey',
]);

/** The writer may take this long to finish what is queued when the broker stops. */
const STOP_DEADLINE_MS = 5_000;

/**
 * The writer begins nothing so shortly before its caller is told that it failed: timers and clocks do not
 * agree to the millisecond.
 */
const BEGIN_MARGIN_MS = 20;

/** One message that the writer is at, and one for when it has done that. */
const MOST_POSTED = 2;

/**
 * So many calls do not wait for the end of a turn: the writer commits them while this thread makes more, where
 * otherwise each thread would wait for the other's whole batch.
 */
const ENOUGH_CALLS = 12;

/** Most calls that wait for the writer: bounds memory when the disk is slow. */
const MAX_WAITING = 20_000;

export interface WriteOptions<R> {
  deadlineMs?: number;
  late?: (value: R) => void;
}

export interface StoreEvents {
  /** Changes of policy, in the order of commits, before any caller of that commit hears of its result. */
  onPolicyChanged(changes: PolicyChange[], epoch: number): void;
  /** A commit has ended, whether it could be made durable or not. */
  onCommitted?(commit: {
    calls: number;
    tookMs: number;
    wrote: boolean;
    why: string | undefined;
    /** Whether the journal holds what readers of the database do not see yet. */
    isBehind: boolean;
  }): void;
  /** The log can never be written again by this process: it has to stop. */
  onFatal(reason: string): void;
}

export class Store {
  readonly origin: string;
  #verifierKey: string;
  /** Whether the journal was gone at the start, and with it the last moment before an end that was not in order. */
  readonly journalWasMissing: boolean;
  /** Files of keys that were replaced, are still to sign beside the new one, and are gone. */
  readonly logKeysMissing: readonly string[];
  readonly #worker: Worker;
  readonly #clock: Clock;
  readonly #waiting = new WaitingCalls(() => (this.#writable = false));
  #begun = 0;
  /**
   * Calls that go to the writer in one message. While it has nothing to do, a call goes at once; while it is at one
   * message, a dozen go together, or those of one turn of the event loop; and while a second one waits for it, all that
   * come. To wake a thread costs more than a call.
   */
  #outbox: Call[] = [];
  #isPosting = false;
  /** Messages that the writer has not taken up yet, or is at. */
  #posted = 0;
  #events: StoreEvents | undefined;
  #gone: string | undefined;
  #writable = true;
  #isBehind = false;
  #catchingUp: Promise<void> | undefined;
  #stopped: (() => void) | undefined;

  private constructor(worker: Worker, clock: Clock, ready: Extract<FromWriter, { kind: 'ready' }>) {
    this.origin = ready.origin;
    this.#verifierKey = ready.verifierKey;
    this.journalWasMissing = ready.journalWasMissing;
    this.logKeysMissing = ready.logKeysMissing;
    this.#worker = worker;
    this.#clock = clock;
    worker.on('message', (message: FromWriter) => this.#receive(message));
    worker.on('error', (error) => this.#lose(`The writer thread failed: ${error.message}`));
    worker.on('exit', () => this.#lose('The writer thread has ended.'));
  }

  /**
   * Starts the writer thread on a data directory.
   *
   * @param thread the compiled file of the writer thread
   * @throws when the data directory cannot be used, with the reason
   */
  static async open(thread: URL, settings: WriterSettings, clock: Clock): Promise<Store> {
    const worker = new Worker(thread, { workerData: settings });
    const ready = await new Promise<Extract<FromWriter, { kind: 'ready' }>>((resolve, reject) => {
      worker.once('error', reject);
      worker.once('exit', () => reject(new Error('The writer thread ended before it was ready.')));
      worker.once('message', (message: FromWriter) => {
        if (message.kind === 'ready') resolve(message);
        else
          reject(
            new Error(
              message.kind === 'refused_to_start'
                ? message.reason
                : 'The writer thread did not start.',
            ),
          );
      });
    });
    worker.removeAllListeners('error').removeAllListeners('exit');
    return new Store(worker, clock, ready);
  }

  subscribe(events: StoreEvents): void {
    this.#events = events;
    if (this.#gone !== undefined) events.onFatal(this.#gone);
  }

  /**
   * Runs a whole operation. When it returns, the change and its log entries are durable and the policy in
   * memory is the one after it.
   *
   * @throws RefusedError with the operation's refusal; `log_unavailable` when it could not be made durable
   */
  write<N extends OperationName>(
    name: N,
    args: ArgsOf<N>,
    options: WriteOptions<ResultOf<N>> = {},
  ): Promise<ResultOf<N>> {
    if (this.#gone !== undefined || this.#waiting.count >= MAX_WAITING) {
      return Promise.reject(new RefusedError(refusal('log_unavailable')));
    }
    const usual = PATIENT.has(name) ? PATIENT_DEADLINE_MS : WRITE_DEADLINE_MS;
    const deadlineMs = options.deadlineMs ?? usual;
    return new Promise((resolve, reject) => {
      const dueAt = performance.now() + deadlineMs;
      // What the operation of that name answers with is what its caller waits for.
      const caller = { resolve, reject, late: options.late, dueAt } as WaitingCall;
      const id = this.#waiting.add(caller);
      this.#begun += 1;
      const notAfter = this.#clock() + deadlineMs - BEGIN_MARGIN_MS;
      this.#outbox.push({ id, name, args, notAfter });
      this.#postSoon();
    });
  }

  /** The key that signs checkpoints, as text (C2SP verifier key). */
  get verifierKey(): string {
    return this.#verifierKey;
  }

  /** Calls so far. */
  get begun(): number {
    return this.#begun;
  }

  /** Calls that wait for the writer. */
  get waiting(): number {
    return this.#waiting.count;
  }

  /**
   * Whether the log could be written when that was last tried. After a failure, nothing less than a write
   * that succeeded makes it true again: `probe` tries.
   */
  get isWritable(): boolean {
    return this.#gone === undefined && this.#writable;
  }

  /**
   * Resolves when readers of the database see all that callers have been told so far, of requests as well. Where the log
   * cannot be written, at once: then they see what is there.
   */
  caughtUp(): Promise<void> {
    if (!this.#isBehind || !this.isWritable) return Promise.resolve();
    this.#catchingUp ??= this.#catchUp().finally(() => (this.#catchingUp = undefined));
    return this.#catchingUp;
  }

  async #catchUp(): Promise<void> {
    try {
      await this.write('catchUp', {});
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
    }
  }

  /** Lets the writer finish what is queued, sign a last checkpoint and close the database. */
  async close(): Promise<void> {
    if (this.#gone === undefined) {
      const stopped = new Promise<void>((resolve) => (this.#stopped = resolve));
      this.#post();
      this.#send({ kind: 'stop' });
      // A disk that hangs must not keep the process: what it did not take is closed at the next start.
      const patience = setTimeout(() => this.#stopped?.(), STOP_DEADLINE_MS);
      await stopped;
      clearTimeout(patience);
    }
    // A thread that hangs in a system call cannot be ended; the process does not wait for it.
    const patience = delay(STOP_DEADLINE_MS, undefined, { ref: false });
    await Promise.race([this.#worker.terminate(), patience]);
    this.#worker.unref();
  }

  #send(message: ToWriter): void {
    this.#worker.postMessage(message);
  }

  #postSoon(): void {
    if (this.#posted >= MOST_POSTED) return;
    if (this.#posted === 0 || this.#outbox.length >= ENOUGH_CALLS) return this.#post();
    if (this.#isPosting) return;
    this.#isPosting = true;
    setImmediate(() => {
      this.#isPosting = false;
      if (this.#posted < MOST_POSTED) this.#post();
    });
  }

  #post(): void {
    if (this.#outbox.length === 0) return;
    const calls = this.#outbox;
    this.#outbox = [];
    try {
      this.#send({ kind: 'calls', calls });
      this.#posted += 1;
    } catch (error) {
      // What cannot cross to another thread is a mistake of ours; nobody is to wait for it.
      for (const { id } of calls) this.#answer({ id, failed: String(error) });
    }
  }

  #receive(message: FromWriter): void {
    switch (message.kind) {
      case 'committed':
        this.#posted -= message.messages;
        if (this.#outbox.length > 0) this.#postSoon();
        this.#apply(message);
        break;
      case 'stopped':
        this.#gone = 'The store was closed.';
        this.#waiting.giveUp();
        this.#stopped?.();
        break;
      case 'ready':
      case 'refused_to_start':
        break;
    }
  }

  #apply({ answers, changes, epoch, wrote, isBehind, tookMs, why, fatal }: Committed): void {
    this.#isBehind = isBehind;
    this.#events?.onCommitted?.({ calls: answers.length, tookMs, wrote, why, isBehind });
    for (const change of changes) if (change.kind === 'log_key') this.#verifierKey = change.value;
    if (changes.length > 0) this.#events?.onPolicyChanged(changes, epoch);
    for (const answer of answers) this.#answer(answer);
    // Last: a call that came too late to be begun does not show that the log cannot be written.
    if (wrote) this.#writable = true;
    if (fatal !== undefined) this.#lose(fatal);
  }

  #answer(answer: Answer): void {
    const unavailable = 'refused' in answer && answer.refused.code === 'log_unavailable';
    if (unavailable) this.#writable = false;
    // Nobody waits for the writer's own, such as checkpoints. One that can never be signed: the log is damaged.
    if (!this.#waiting.answer(answer) && answer.id === 0 && 'failed' in answer)
      this.#lose(`The log is damaged: ${answer.failed}`);
  }

  #lose(reason: string): void {
    if (this.#gone !== undefined) return;
    this.#gone = reason;
    this.#waiting.giveUp();
    this.#stopped?.();
    this.#events?.onFatal(reason);
  }
}
