/**
 * Refusals of callers who are known, again and again. The first of a token in a minute have an entry each; those
 * behind them are counted, and recorded together when the minute is over, so that a client that does not stop
 * asking cannot fill the log.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { EntryDraft } from '../core/audit/entry.ts';
import type { DenialCode } from '../core/denials.ts';
import type { Clock } from '../lib/clock.ts';
import { mintId } from '../lib/ids.ts';
import type { Logger } from '../lib/log.ts';
import type { Store } from '../store/client.ts';

const MINUTE_MS = 60_000;

/** So many refusals of a token in a minute have an entry each. */
export const MOST_SINGLY = 100;

/** Minutes that are over are looked for this often. */
const FLUSH_EVERY_MS = 5_000;

/** A process that ends does not wait longer for a disk that hangs. */
const LAST_TRY_MS = 900;

/** Who was refused, under what. */
type Subject = Pick<
  EntryDraft,
  'actor' | 'lab' | 'person' | 'grant' | 'grantVersion' | 'purpose' | 'run'
> & { token: string };

interface Counted {
  /** As at the first of them. */
  subject: Subject;
  since: number;
  counts: Map<DenialCode, number>;
}

/** Room for refusals that have an entry each. */
export interface Room {
  /** By them, and by requests that may yet be one of them. */
  taken: number;
}

/** A token's minute: it begins with the first request that could have been refused. */
interface Minute extends Room {
  since: number;
  counted: Counted | undefined;
}

export class RepeatedDenials {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #timer: NodeJS.Timeout;
  /** By token. Bounded by the tokens that were used of late: a minute that is over is dropped. */
  readonly #minutes = new Map<string, Minute>();
  /** Of minutes that are over, by token. Empty, but while the log cannot be written. */
  readonly #due = new Map<string, Counted>();
  /** On its way to the log, or back from it. */
  #leaving: Counted | undefined;
  #flushing: Promise<void> | undefined;

  constructor(parts: { store: Store; clock: Clock; log: Logger }) {
    this.#store = parts.store;
    this.#clock = parts.clock;
    this.#log = parts.log;
    this.#timer = setInterval(() => void this.flush(), FLUSH_EVERY_MS);
    this.#timer.unref();
  }

  /**
   * Takes room for a refusal with an entry of its own.
   *
   * @returns the minute that it is room of; undefined where there is none, and the refusal is to be counted
   */
  take(tokenId: string): Room | undefined {
    const minute = this.#minuteOf(tokenId, this.#clock());
    if (minute.taken >= MOST_SINGLY) return undefined;
    minute.taken += 1;
    return minute;
  }

  /** Gives room back that no refusal was recorded in: to the minute that it was taken of, also if that is over. */
  giveBack(room: Room): void {
    if (room.taken > 0) room.taken -= 1;
  }

  /** Counts a refusal that has no entry of its own. */
  count(parts: Subject, code: DenialCode): void {
    const at = this.#clock();
    const minute = this.#minuteOf(parts.token, at);
    minute.counted ??= { subject: subjectOf(parts), since: at, counts: new Map() };
    add(minute.counted.counts, code, 1);
  }

  /** Tokens of which something is remembered. */
  get remembered(): number {
    return new Set([...this.#minutes.keys(), ...this.#due.keys()]).size;
  }

  /** Records what was counted in minutes that are over. What cannot be recorded stays counted. */
  flush(): Promise<void> {
    const now = this.#clock();
    for (const [tokenId, minute] of this.#minutes)
      if (isOver(minute, now)) this.#end(tokenId, minute);
    this.#flushing ??= this.#record().finally(() => (this.#flushing = undefined));
    return this.#flushing;
  }

  /** Records whatever is counted; says in the operational log how much could not be. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.race([this.#recordAll(), delay(LAST_TRY_MS, undefined, { ref: false })]);
    const left = [...this.#due.values(), ...(this.#leaving ? [this.#leaving] : [])];
    if (left.length > 0)
      this.#log.error(
        { refusals: left.reduce((sum, counted) => sum + totalOf(counted), 0) },
        'refusals that repeated could not be recorded',
      );
  }

  #minuteOf(tokenId: string, now: number): Minute {
    const known = this.#minutes.get(tokenId);
    if (known && !isOver(known, now)) return known;
    if (known) this.#end(tokenId, known);
    const minute: Minute = { since: now, taken: 0, counted: undefined };
    this.#minutes.set(tokenId, minute);
    return minute;
  }

  #end(tokenId: string, { counted }: Minute): void {
    this.#minutes.delete(tokenId);
    if (counted) this.#owe(counted);
  }

  /** Together with what an earlier minute of the token still has to be recorded for. */
  #owe(counted: Counted): void {
    const { token } = counted.subject;
    const other = this.#due.get(token);
    const [first, second] =
      other && other.since < counted.since ? [other, counted] : [counted, other];
    for (const [code, count] of second?.counts ?? []) add(first.counts, code, count);
    this.#due.set(token, first);
  }

  async #recordAll(): Promise<void> {
    for (const [tokenId, minute] of this.#minutes) this.#end(tokenId, minute);
    await this.#flushing;
    await this.#record();
  }

  /** One after the other: nobody waits for them, and others wait for the writer. */
  async #record(): Promise<void> {
    for (const [tokenId, counted] of this.#due) {
      const at = this.#clock();
      this.#due.delete(tokenId);
      this.#leaving = counted;
      try {
        await this.#store.write(
          'recordEntry',
          {
            entry: {
              ...counted.subject,
              id: mintId('ent', at),
              kind: 'request.denied_repeatedly',
              at,
              decision: 'denied',
              data: {
                since: new Date(counted.since).toISOString(),
                counts: Object.fromEntries(counted.counts),
              },
            },
          },
          // What was recorded after a deadline would be recorded twice: only the writer knows.
          { deadlineMs: Infinity },
        );
      } catch (error) {
        this.#owe(counted);
        this.#log.warn(
          { tokens: this.#due.size, err: String(error) },
          'refusals that repeated could not be recorded yet',
        );
        return;
      } finally {
        this.#leaving = undefined;
      }
    }
  }
}

/** Of what every entry of a request says, what those of all its token's requests share. */
function subjectOf(parts: Subject): Subject {
  const { actor, lab, person, grant, grantVersion, token, purpose, run } = parts;
  return { actor, lab, person, grant, grantVersion, token, purpose, run };
}

/** A clock that was set back must not make a minute any longer. */
function isOver({ since }: Minute, now: number): boolean {
  return now < since || now - since >= MINUTE_MS;
}

function add(counts: Map<DenialCode, number>, code: DenialCode, more: number): void {
  counts.set(code, (counts.get(code) ?? 0) + more);
}

function totalOf({ counts }: Counted): number {
  return [...counts.values()].reduce((sum, count) => sum + count, 0);
}
