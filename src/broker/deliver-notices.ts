/**
 * Takes notices out of the outbox, each through its channels, until they have arrived or are given up. Each channel has
 * attempts of its own: a receiver that is slow holds up nobody else, and no order waits for any of them. What a crash
 * or a stop interrupts is still in the outbox and goes out again, so that a notice can arrive twice and never not at all.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { pauseBeforeRetry, type Attempt, type Delivery } from '../core/deliveries.ts';
import { mintId } from '../lib/ids.ts';
import type { Sender } from '../notices/sender.ts';
import type { AttemptResult } from '../store/operations/notices.ts';
import type { Broker } from './broker.ts';

/** Of one channel at a time. */
const AT_A_TIME = 4;

const ATTEMPT_WITHIN_MS = 10_000;

/** The broker's stop waits no longer for attempts that it has ended. */
const STOP_WITHIN_MS = 900;

/** What could not be written is written again, and not sent again. */
const WRITE_AGAIN_AFTER_MS = 1_000;

const FAILED = { delivered: false, failure: 'unreachable' } as const;

export class NoticeDeliverer {
  readonly #broker: Broker;
  readonly #senders: ReadonlyMap<string, Sender>;
  /** Deliveries that are under way, by channel. */
  readonly #underWay = new Map<string, Map<string, Promise<void>>>();
  readonly #stopping = new AbortController();
  /** Channels whose last attempt failed: said once, and once when they work again. */
  readonly #failing = new Set<string>();

  /** @param senders by the id of their channel */
  constructor(broker: Broker, senders: ReadonlyMap<string, Sender>) {
    this.#broker = broker;
    this.#senders = senders;
  }

  /** Begins what is due. Called every second; where nothing is, it costs one lookup. */
  look(): void {
    const { readers, clock } = this.#broker;
    for (const channel of readers.channelsDue(clock())) this.#lookAt(channel);
  }

  /** Abandons what is under way: it stays in the outbox. Resolves within a second. */
  async close(): Promise<void> {
    this.#stopping.abort();
    const left = [...this.#underWay.values()].flatMap((some) => [...some.values()]);
    await Promise.race([Promise.all(left), delay(STOP_WITHIN_MS, undefined, { ref: false })]);
    for (const sender of this.#senders.values()) sender.close();
  }

  #lookAt(channel: string): void {
    const { readers, store, clock } = this.#broker;
    // How it ended could not be written, and the same would go out again and again.
    if (this.#stopping.signal.aborted || !store.isWritable) return;
    const underWay = this.#underWay.get(channel) ?? new Map<string, Promise<void>>();
    this.#underWay.set(channel, underWay);
    // Those that are under way are due, too.
    for (const delivery of readers.deliveriesDue(channel, clock(), AT_A_TIME + underWay.size)) {
      if (underWay.size >= AT_A_TIME) return;
      if (underWay.has(delivery.id)) continue;
      const done = this.#deliver(delivery).then(
        () => this.#ended(delivery),
        (error: unknown) => {
          underWay.delete(delivery.id);
          this.#broker.log.error({ err: String(error), channel }, 'a notice was not delivered');
        },
      );
      underWay.set(delivery.id, done);
    }
  }

  #ended({ id, channel }: Delivery): void {
    this.#underWay.get(channel)?.delete(id);
    this.#lookAt(channel);
  }

  async #deliver(delivery: Delivery): Promise<void> {
    const attempt = await this.#attempt(delivery);
    if (this.#stopping.signal.aborted && !attempt.delivered) return;
    await this.#record(delivery, attempt);
  }

  async #attempt({ noticeId, channel }: Delivery): Promise<Attempt> {
    const { readers, clock, publicUrl } = this.#broker;
    const sender = this.#senders.get(channel);
    const notice = readers.readNotice(noticeId);
    if (!sender || !notice) return { delivered: false, failure: 'channel_removed', isFinal: true };
    const attempt = new AbortController();
    const stop = (): void => attempt.abort();
    this.#stopping.signal.addEventListener('abort', stop);
    const deadline = setTimeout(stop, ATTEMPT_WITHIN_MS);
    const aborted = new Promise<Attempt>((resolve) =>
      attempt.signal.addEventListener('abort', () =>
        resolve({ delivered: false, failure: 'timeout' }),
      ),
    );
    try {
      const outgoing = { notice, at: clock(), broker: publicUrl };
      // Held against the deadline whatever the sender makes of its signal.
      return await Promise.race([
        aborted,
        sender.deliver(outgoing, attempt.signal).catch(() => FAILED),
      ]);
    } finally {
      clearTimeout(deadline);
      this.#stopping.signal.removeEventListener('abort', stop);
    }
  }

  async #record(delivery: Delivery, attempt: Attempt): Promise<void> {
    const { store, clock } = this.#broker;
    const at = clock();
    const result = resultOf(attempt, delivery.attempts + 1, at);
    const args = { at, entryId: mintId('ent', at), deliveryId: delivery.id, result };
    for (;;) {
      try {
        await store.write('recordAttempt', args);
        this.#tell(delivery, result);
        return;
      } catch {
        if (this.#stopping.signal.aborted) return;
        await delay(WRITE_AGAIN_AFTER_MS, undefined, { signal: this.#stopping.signal }).catch(
          () => undefined,
        );
      }
    }
  }

  #tell({ id, channel }: Delivery, result: AttemptResult): void {
    const { metrics, log } = this.#broker;
    if (result.delivered) {
      metrics.noticeAttempt(channel, 'delivered');
      if (this.#failing.delete(channel)) log.info({ channel }, 'notices arrive again');
      return;
    }
    const { failure, status, nextAt } = result;
    metrics.noticeAttempt(channel, nextAt === null ? 'dead' : 'failed');
    if (nextAt === null)
      log.error({ channel, delivery: id, failure, status }, 'a notice could not be delivered');
    else if (!this.#failing.has(channel))
      log.warn({ channel, failure, status }, 'notices do not arrive; they are tried again');
    this.#failing.add(channel);
  }
}

function resultOf(attempt: Attempt, attempts: number, now: number): AttemptResult {
  if (attempt.delivered) return attempt;
  const pause = pauseBeforeRetry(attempts, attempt, Math.random());
  const { failure, status = null } = attempt;
  return { delivered: false, failure, status, nextAt: pause === undefined ? null : now + pause };
}

/** Says which channels can have nothing to deliver, since there is no such lab or person. */
export function warnOfIdleChannels({ channels, policy, readers, log }: Broker): void {
  for (const { id, lab, person } of channels) {
    if (lab !== undefined && !policy.lab(lab))
      log.warn({ channel: id, lab }, 'notices: there is no such lab, so nothing goes out here');
    if (person === undefined) continue;
    const { labId } = policy.person(person) ?? {};
    if (labId === undefined || labId !== (lab ?? readers.hostLabId()))
      log.warn(
        { channel: id, person },
        'notices: there is no such person in the lab of this channel, so nothing goes out here',
      );
  }
}
