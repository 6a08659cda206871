/**
 * Readings of entry bundles. A mirror reads them all the time, and an entry for each bundle would make the log grow for
 * ever as it is mirrored: the first reading of a caller is on record before it is answered, and what they read in the ten
 * minutes after it goes on record together when those are over.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { actorOf } from '../store/operations/operation.ts';
import { mintId } from '../lib/ids.ts';
import type { Member } from '../core/people.ts';
import type { Clock } from '../lib/clock.ts';
import type { Logger } from '../lib/log.ts';
import type { Store } from '../store/client.ts';

/** What one entry stands for. */
const TOGETHER_MS = 10 * 60_000;

/** Readings that are over are looked for this often. */
const FLUSH_EVERY_MS = 30_000;

/** A process that ends does not wait longer for a disk that hangs. */
const LAST_TRY_MS = 900;

/** What a caller read since the entry that says that they began. */
interface Reading {
  member: Member;
  since: number;
  bundles: number;
  /** The first entry that was among them, and the one behind the last. */
  from: number;
  to: number;
}

export class BundleReadings {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #timer: NodeJS.Timeout;
  /** By caller: bounded by the people who may read bundles. */
  readonly #readings = new Map<string, Reading>();

  constructor(parts: { store: Store; clock: Clock; log: Logger }) {
    this.#store = parts.store;
    this.#clock = parts.clock;
    this.#log = parts.log;
    this.#timer = setInterval(() => void this.flush(), FLUSH_EVERY_MS);
    this.#timer.unref();
  }

  /**
   * Puts on record that somebody reads the entries `from` to `to - 1`. To be called before they are shown.
   *
   * @throws RefusedError `log_unavailable`: then they are not to be shown
   */
  async note(member: Member, from: number, to: number): Promise<void> {
    const now = this.#clock();
    const known = this.#readings.get(member.person.id);
    if (known && !isOver(known, now)) {
      known.bundles += 1;
      known.from = Math.min(known.from, from);
      known.to = Math.max(known.to, to);
      return;
    }
    if (known) await this.#end(known);
    await this.#record(member, { what: 'entry bundles', from, to, bundles: 1 });
    // Several may begin at the same time: each has an entry then, and the first of them counts what follows.
    const { id } = member.person;
    if (!this.#readings.has(id))
      this.#readings.set(id, { member, since: now, bundles: 0, from: Infinity, to: 0 });
  }

  /** Records what was read in times that are over. What cannot be recorded is tried again. */
  async flush(): Promise<void> {
    const now = this.#clock();
    for (const reading of this.#readings.values())
      if (isOver(reading, now)) await this.#tryToEnd(reading);
  }

  /** Records whatever there is to record. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    const all = Promise.all([...this.#readings.values()].map((reading) => this.#tryToEnd(reading)));
    await Promise.race([all, delay(LAST_TRY_MS, undefined, { ref: false })]);
  }

  async #tryToEnd(reading: Reading): Promise<void> {
    try {
      await this.#end(reading);
    } catch (error) {
      this.#log.warn(
        { person: reading.member.person.id, bundles: reading.bundles, err: String(error) },
        'readings of entry bundles could not be recorded yet',
      );
    }
  }

  async #end(reading: Reading): Promise<void> {
    const { member, since, bundles, from, to } = reading;
    if (this.#readings.get(member.person.id) !== reading) return;
    this.#readings.delete(member.person.id);
    if (bundles === 0) return;
    try {
      const data = { from, to, bundles, since: new Date(since).toISOString() };
      await this.#record(member, { what: 'entry bundles', ...data });
    } catch (error) {
      // Together with what began to be counted meanwhile.
      const other = this.#readings.get(member.person.id);
      this.#readings.set(member.person.id, {
        member,
        since,
        bundles: bundles + (other?.bundles ?? 0),
        from: Math.min(from, other?.from ?? Infinity),
        to: Math.max(to, other?.to ?? 0),
      });
      throw error;
    }
  }

  async #record(member: Member, data: Record<string, string | number>): Promise<void> {
    const at = this.#clock();
    await this.#store.write('recordEntry', {
      entry: { id: mintId('ent', at), kind: 'audit.read', at, actor: actorOf(member), data },
    });
  }
}

/** A clock that was set back must not make it any longer. */
const isOver = ({ since }: Reading, now: number): boolean =>
  now < since || now - since >= TOGETHER_MS;
