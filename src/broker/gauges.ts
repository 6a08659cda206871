/** The metrics as text, with what is looked up at that moment: what is live, the log, the limits of grants. */
import { collectDefaultMetrics } from 'prom-client';
import type { Broker } from './broker.ts';
import { LimitGauges } from './limit-gauges.ts';
import type { Metrics } from './metrics.ts';

export class Gauges {
  readonly #broker: Broker;
  readonly #limits: LimitGauges;
  readonly #live;
  readonly #log;
  readonly #notices;
  readonly #witnesses;
  readonly #forwarding;
  #underWay: Promise<string> | undefined;

  constructor(broker: Broker) {
    const { metrics } = broker;
    this.#broker = broker;
    this.#live = liveGauges(metrics);
    this.#log = logGauges(metrics);
    this.#notices = noticeGauges(metrics);
    this.#witnesses = witnessGauges(metrics);
    this.#forwarding = forwardingGauges(metrics);
    this.#limits = new LimitGauges(broker);
    collectDefaultMetrics({ register: metrics.registry });
  }

  get contentType(): string {
    return this.#broker.metrics.registry.contentType;
  }

  /** Everything in Prometheus' text format. Whoever asks while another is being answered gets the same. */
  text(): Promise<string> {
    this.#underWay ??= this.#read().finally(() => (this.#underWay = undefined));
    return this.#underWay;
  }

  async #read(): Promise<string> {
    const { readiness, live, metrics } = this.#broker;
    this.#live.ready.set((await readiness.state()) === 'ready' ? 1 : 0);
    this.#live.requests.set(live.count);
    this.#live.streams.set(live.streams);
    await this.#limits.read();
    await this.#broker.store.caughtUp();
    this.#readLog();
    return metrics.registry.metrics();
  }

  #readWitnesses(): void {
    const { witnesses, readers } = this.#broker;
    const gauges = this.#witnesses;
    for (const { name: witness, verifierKey, failure } of witnesses.asker.states) {
      gauges.failing.set({ witness }, failure === undefined ? 0 : 1);
      const last = readers.lastCosignature(verifierKey);
      if (!last) continue;
      gauges.cosigned.set({ witness }, last.size);
      gauges.cosignedAt.set({ witness }, last.signedAt / 1000);
    }
    gauges.witnessed.set(readers.newestWitnessed(witnesses.policy)?.size ?? 0);
  }

  #readForwarding(): void {
    const gauges = this.#forwarding;
    for (const { id: receiver, lag, lagMs, state, lost } of this.#broker.forwarding.shown()) {
      gauges.lag.set({ receiver }, lag);
      gauges.lagSeconds.set({ receiver }, lagMs / 1000);
      gauges.failing.set({ receiver }, state === 'failing' ? 1 : 0);
      gauges.lost.set({ receiver }, lost);
    }
  }

  #readLog(): void {
    const { store, settler, readers, log } = this.#broker;
    const gauges = this.#log;
    gauges.writable.set(store.isWritable ? 1 : 0);
    gauges.waiting.set(store.waiting);
    gauges.outcomes.set(settler.waiting);
    try {
      this.#notices.waiting.set(readers.countDeliveries('pending'));
      this.#notices.dead.set(readers.countDeliveries('dead'));
      gauges.putOff.set(readers.countPutOff());
      this.#readForwarding();
      gauges.entries.set(readers.logSize());
      this.#readWitnesses();
      const checkpoint = readers.latestCheckpoint();
      if (!checkpoint) return;
      gauges.checkpoint.set(checkpoint.size);
      gauges.checkpointAt.set(checkpoint.at / 1000);
    } catch (error) {
      // A broken disk is when the other numbers are needed most.
      log.warn({ err: String(error) }, 'the log cannot be read for the metrics');
      for (const gauge of [gauges.entries, gauges.checkpoint, gauges.checkpointAt]) gauge.remove();
    }
  }
}

function witnessGauges(metrics: Metrics) {
  return {
    failing: metrics.gauge('witness_failing', '1 where the last call failed, else 0', ['witness']),
    cosigned: metrics.gauge(
      'witness_cosigned_entries',
      'Entries of the newest checkpoint that a witness cosigned',
      ['witness'],
    ),
    cosignedAt: metrics.gauge(
      'witness_cosigned_timestamp_seconds',
      'When the witness says that it cosigned it, seconds since 1970',
      ['witness'],
    ),
    witnessed: metrics.gauge(
      'log_witnessed_entries',
      'Entries of the newest checkpoint that enough witnesses cosigned',
    ),
  };
}

function forwardingGauges(metrics: Metrics) {
  const of = ['receiver'];
  return {
    lag: metrics.gauge(
      'forward_lag_entries',
      'Entries of the log that a receiver may not have',
      of,
    ),
    lagSeconds: metrics.gauge('forward_lag_seconds', 'Age of the first of them', of),
    failing: metrics.gauge('forward_failing', '1 while the last attempt failed, else 0', of),
    lost: metrics.gauge(
      'forward_lost_entries',
      'Entries that retention took away before they had arrived, since the start',
      of,
    ),
  };
}

function liveGauges(metrics: Metrics) {
  return {
    ready: metrics.gauge('ready', '1 while requests are taken, else 0'),
    requests: metrics.gauge('live_requests', 'Requests in flight'),
    streams: metrics.gauge('live_streams', 'Of the requests in flight, those that stream'),
  };
}

function noticeGauges(metrics: Metrics) {
  return {
    waiting: metrics.gauge('notice_deliveries_waiting', 'Deliveries of notices to be made'),
    dead: metrics.gauge('notice_deliveries_dead', 'Deliveries of notices that were given up'),
  };
}

function logGauges(metrics: Metrics) {
  return {
    writable: metrics.gauge('log_writable', '1 while the log can be written, else 0'),
    waiting: metrics.gauge('log_waiting_operations', 'Operations that wait for a commit'),
    outcomes: metrics.gauge(
      'log_waiting_outcomes',
      'Ended requests whose outcome could not be recorded yet',
    ),
    putOff: metrics.gauge(
      'due_failing',
      'What the broker has to do by itself and failed at the last attempt',
    ),
    entries: metrics.gauge('log_entries', 'Entries in the log'),
    checkpoint: metrics.gauge(
      'log_checkpoint_entries',
      'Entries below the newest signed checkpoint',
    ),
    checkpointAt: metrics.gauge(
      'log_checkpoint_timestamp_seconds',
      'When the newest checkpoint was signed, seconds since 1970',
    ),
  };
}
