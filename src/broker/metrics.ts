/**
 * What is counted while requests pass. Every label is one of a closed list, or an endpoint of the
 * configuration: no person, token, run or text of a request ever becomes one. What each number means stands in
 * docs/operations.md.
 */
import { Counter, Gauge, Registry } from 'prom-client';
import type { WitnessFailure } from '../core/audit/witness-failures.ts';
import type { DenialCode } from '../core/denials.ts';
import type { RequestEnd, Usage } from '../core/requests.ts';
import type { Operation } from '../core/vocabulary.ts';
import { counterBranch, histogramBranch } from './series.ts';

/** Where something was refused. */
export type Door = 'gateway' | 'control' | 'token_endpoint' | 'join' | 'witness';

/** What ended a request that an upstream failed: our code for it, or the kind of status it answered with. */
export type UpstreamFailureKind =
  DenialCode | 'status_429' | 'status_4xx' | 'status_5xx' | 'error_event';

/** One admitted request, as it ended. */
export interface EndedRequest {
  operation: Operation;
  endpoint: string;
  end: RequestEnd;
  usage: Usage;
  gatewayMs: number;
  /** Zero where the upstream was not asked. */
  upstreamMs: number;
  /** From asking the upstream until its first byte. */
  firstByteMs: number | undefined;
  /** Whether another model answered than the one that was asked for. */
  modelMismatch: boolean;
  upstreamFailure: UpstreamFailureKind | undefined;
}

const GATEWAY_BUCKETS = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1];
const UPSTREAM_BUCKETS = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900];
const COMMIT_BUCKETS = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 0.9];
const CALLS_BUCKETS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512];

export class Metrics {
  readonly registry = new Registry();
  readonly #requests = this.#counted(
    'requests_total',
    'Requests that were admitted and have ended, by how they ended',
    ['operation', 'endpoint', 'end'],
  );
  readonly #refusals = this.#counter(
    'refusals_total',
    'Refusals by code; caller is known or unknown. Of known callers, those of the gateway',
    ['door', 'caller', 'code'],
  );
  readonly #tokens = this.#counted(
    'tokens_total',
    'Tokens of ended requests by direction (input, output) and by who counted them',
    ['endpoint', 'direction', 'source'],
  );
  readonly #mismatches = this.#counter(
    'model_mismatches_total',
    'Answers in which the upstream named another model than the pinned one',
    ['endpoint'],
  );
  readonly #upstreamErrors = this.#counter(
    'upstream_errors_total',
    'Requests that an upstream failed, by kind',
    ['endpoint', 'kind'],
  );
  readonly #noticeDeliveries = this.#counter(
    'notice_deliveries_total',
    'Attempts to deliver a notice; failed is tried again, dead is given up',
    ['channel', 'result'],
  );
  readonly #witnessAsks = this.#counter(
    'witness_asks_total',
    'Checkpoints that a witness was asked to cosign; result is cosigned, or why not',
    ['witness', 'result'],
  );
  readonly #watched = this.#counter(
    'watched_checkpoints_total',
    'Checkpoints of a watched log by what came of them: cosign, conflict or inconsistent',
    ['origin', 'result'],
  );
  readonly #forwardAttempts = this.#counter(
    'forward_attempts_total',
    'Attempts to forward entries of the log; failed is tried again',
    ['receiver', 'result'],
  );
  readonly #forwarded = this.#counter(
    'forwarded_entries_total',
    'Entries of the log that arrived at a receiver',
    ['receiver'],
  );
  readonly #gatewaySeconds = this.#histogram(
    'gateway_seconds',
    'Time that the broker itself added to a request, commits of intent and outcome included',
    ['operation'],
    GATEWAY_BUCKETS,
  );
  readonly #upstreamSeconds = this.#histogram(
    'upstream_seconds',
    'Time from asking the upstream until its last byte',
    ['endpoint'],
    UPSTREAM_BUCKETS,
  );
  readonly #firstByteSeconds = this.#histogram(
    'upstream_first_byte_seconds',
    'Time from asking the upstream until its first byte',
    ['endpoint'],
    UPSTREAM_BUCKETS,
  );
  readonly #commitSeconds = this.#histogram(
    'log_commit_seconds',
    'Time of a commit, from its first operation until it was durable or had failed',
    [],
    COMMIT_BUCKETS,
  ).series;
  readonly #commitCalls = this.#histogram(
    'log_commit_operations',
    'Operations that shared a commit',
    [],
    CALLS_BUCKETS,
  ).series;

  ended(request: EndedRequest): void {
    const { operation, endpoint, end, usage, firstByteMs, upstreamFailure } = request;
    this.#requests.at(operation).at(endpoint).at(end).series.add(1);
    this.#gatewaySeconds.at(operation).series.observe(request.gatewayMs / 1000);
    if (usage.source !== 'none') {
      const tokens = this.#tokens.at(endpoint);
      tokens.at('input').at(usage.source).series.add(usage.inputTokens);
      tokens.at('output').at(usage.source).series.add(usage.outputTokens);
    }
    if (request.upstreamMs > 0)
      this.#upstreamSeconds.at(endpoint).series.observe(request.upstreamMs / 1000);
    if (firstByteMs !== undefined)
      this.#firstByteSeconds.at(endpoint).series.observe(firstByteMs / 1000);
    if (request.modelMismatch) this.#mismatches.inc({ endpoint });
    if (upstreamFailure !== undefined)
      this.#upstreamErrors.inc({ endpoint, kind: upstreamFailure });
  }

  /** @param caller whether they had shown who they are */
  refused(door: Door, caller: 'known' | 'unknown', code: DenialCode): void {
    this.#refusals.inc({ door, caller, code });
  }

  committed({ calls, tookMs }: { calls: number; tookMs: number }): void {
    this.#commitSeconds.observe(tookMs / 1000);
    this.#commitCalls.observe(calls);
  }

  /** An attempt to deliver a notice has ended. */
  noticeAttempt(channel: string, result: 'delivered' | 'failed' | 'dead'): void {
    this.#noticeDeliveries.inc({ channel, result });
  }

  /** A witness was asked. */
  witnessAsked(witness: string, result: WitnessFailure | 'cosigned'): void {
    this.#witnessAsks.inc({ witness, result });
  }

  /** We were asked to cosign, by a log that the configuration names. */
  logWatched(origin: string, result: 'cosign' | 'conflict' | 'inconsistent'): void {
    this.#watched.inc({ origin, result });
  }

  /** An attempt to forward entries of the log has ended. */
  forwardAttempt(receiver: string, result: 'delivered' | 'failed'): void {
    this.#forwardAttempts.inc({ receiver, result });
  }

  /** Entries have arrived at a receiver. */
  forwarded(receiver: string, entries: number): void {
    this.#forwarded.inc({ receiver }, entries);
  }

  /** A number that is looked up when somebody asks. */
  gauge(name: string, help: string, labelNames: string[] = []): Gauge {
    return new Gauge({ name: `sallyport_${name}`, help, labelNames, registers: [this.registry] });
  }

  #counter(name: string, help: string, labelNames: string[]): Counter {
    return new Counter({ name: `sallyport_${name}`, help, labelNames, registers: [this.registry] });
  }

  #counted(name: string, help: string, labelNames: string[]) {
    return counterBranch(this.#description(name, help, labelNames));
  }

  #histogram(name: string, help: string, labelNames: string[], bounds: number[]) {
    return histogramBranch(this.#description(name, help, labelNames), bounds);
  }

  #description(name: string, help: string, labelNames: string[]) {
    return { name: `sallyport_${name}`, help, labelNames, registry: this.registry };
  }
}
