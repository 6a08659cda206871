/** One admitted request on its way through: what both kinds of answer, whole and streamed, work with. */
import type { ServerResponse } from 'node:http';
import type { Json } from '../core/audit/entry.ts';
import { refusal, type DenialCode, type Refusal } from '../core/denials.ts';
import { priceNanoUsd, type Endpoint } from '../core/endpoints.ts';
import { likelyTokens } from '../core/estimate.ts';
import type { Charge, RequestEnd, RequestFacts, Usage } from '../core/requests.ts';
import type { Broker } from '../broker/broker.ts';
import type { Settler } from '../broker/settle-request.ts';
import type { Clock } from '../lib/clock.ts';
import type { Logger } from '../lib/log.ts';
import type { ProxiedOperation, ReportedUsage } from './operations/operation.ts';
import { Commitment } from './commitment.ts';
import { reportEnd } from './report.ts';
import type { Timing } from './timing.ts';

/** Why the signal of a request was raised. */
export class Ended {
  readonly end: Extract<RequestEnd, 'client_gone' | 'cut' | 'deadline'>;
  readonly why: Refusal;

  constructor(end: Ended['end'], why: Refusal) {
    this.end = end;
    this.why = why;
  }

  /** Reads the reason of an abort: policy aborts with a refusal, the gateway with an Ended. */
  static from(reason: unknown): Ended {
    if (reason instanceof Ended) return reason;
    if (isRefusal(reason)) return new Ended('cut', reason);
    return new Ended('cut', refusal('unexpected'));
  }
}

function isRefusal(value: unknown): value is Refusal {
  return typeof value === 'object' && value !== null && 'code' in value && 'message' in value;
}

export interface Outcome {
  end: RequestEnd;
  why?: Refusal | undefined;
  upstreamStatus?: number | undefined;
  usage: Usage;
  /** Whether it counts against budgets of requests: everything that may have reached the upstream. */
  forwarded: boolean;
  modelAnswered?: string | undefined;
}

export interface ExchangeParts {
  requestId: string;
  facts: RequestFacts;
  timing: Timing;
  /** Where the end is reported. */
  broker: Pick<Broker, 'metrics' | 'requestLog'>;
  endpoint: Endpoint;
  model: string;
  operation: ProxiedOperation;
  res: ServerResponse;
  /** Headers of a successful answer. */
  headers: Record<string, string>;
  signal: AbortSignal;
  settler: Settler;
  log: Logger;
  clock: Clock;
  salt: Uint8Array;
  /** Bytes of the body as dispatched, for estimates. */
  requestBytes: number;
  maxResponseBytes: number;
  /** A comment goes out when a stream was silent for so long; 0 for none. */
  keepAliveMs: number;
}

export class Exchange {
  readonly parts: ExchangeParts;
  readonly #startedAt: number;
  readonly #commitment: Commitment;
  #firstByteAt: number | undefined;
  #bytes = 0;
  #settled: Promise<void> | undefined;

  constructor(parts: ExchangeParts) {
    this.parts = parts;
    this.#startedAt = parts.clock();
    this.#commitment = new Commitment(parts.salt);
  }

  /** Headers of a successful answer that goes out now: they say where the time went. */
  headers(): Record<string, string> {
    return { ...this.parts.headers, 'server-timing': this.parts.timing.header() };
  }

  /** Takes note of bytes of the upstream's answer. */
  received(chunk: Uint8Array): void {
    if (this.#firstByteAt === undefined) {
      this.#firstByteAt = this.parts.clock();
      this.parts.timing.upstreamFirstByte();
    }
    this.#bytes += chunk.length;
    this.#commitment.update(chunk);
  }

  /**
   * Records the outcome and settles, once. Only when this has returned may the last byte go out.
   *
   * @throws RefusedError `log_unavailable`
   */
  settle(outcome: Outcome): Promise<void> {
    const usage = chargedUsage(outcome.usage, this.parts.operation.charges);
    this.#settled ??= this.#settleAndReport({ ...outcome, usage });
    return this.#settled;
  }

  /** Bytes of the upstream's answer so far. */
  get receivedBytes(): number {
    return this.#bytes;
  }

  get isSettled(): boolean {
    return this.#settled !== undefined;
  }

  /** The commit of the outcome is part of the time that a request takes. */
  async #settleAndReport(outcome: Outcome): Promise<void> {
    const { facts, timing, broker, model } = this.parts;
    const { end, why, upstreamStatus, usage, modelAnswered } = outcome;
    timing.upstreamEnded();
    let recorded = false;
    try {
      await this.#settleNow(outcome);
      recorded = true;
    } finally {
      const modelMismatch = modelAnswered !== undefined && modelAnswered !== model;
      const ended = { end, code: why?.code, upstreamStatus, usage, modelMismatch, recorded };
      reportEnd(broker, facts, ended, timing.split());
    }
  }

  #settleNow({
    end,
    why,
    usage,
    forwarded,
    upstreamStatus,
    modelAnswered,
  }: Outcome): Promise<void> {
    const { requestId, endpoint, model, clock, settler, log } = this.parts;
    if (
      end === 'upstream_error' ||
      end === 'upstream_incomplete' ||
      why?.code.startsWith('upstream_')
    ) {
      const { id } = endpoint;
      log.warn(
        { requestId, endpoint: id, end, code: why?.code, upstreamStatus },
        'the upstream failed',
      );
    }
    const charge: Charge = {
      requests: forwarded ? 1 : 0,
      tokens: usage.inputTokens + usage.outputTokens,
      spendNanoUsd: priceNanoUsd(endpoint, usage.inputTokens, usage.outputTokens),
    };
    const data: Record<string, Json | undefined> = {
      upstreamStatus,
      durationMs: clock() - this.#startedAt,
      firstByteMs:
        this.#firstByteAt === undefined ? undefined : this.#firstByteAt - this.#startedAt,
      responseBytes: this.#bytes,
      responseCommitment: this.#commitment.digest(),
      modelAnswered: modelAnswered === undefined ? undefined : plainModel(modelAnswered),
      modelMismatch: modelAnswered !== undefined && modelAnswered !== model ? true : undefined,
      message: why?.message,
    };
    return settler.settle({ requestId, end, usage, charge, why, data });
  }
}

/** What an upstream calls its model goes into the log only if it looks like a model's name. */
function plainModel(name: string): string {
  return /^[A-Za-z0-9][A-Za-z0-9._:@/+-]{0,127}$/.test(name) ? name : '(unprintable name)';
}

/** Nothing was used. */
export const NO_USAGE: Usage = { inputTokens: 0, outputTokens: 0, source: 'none' };

/**
 * What the upstream reported, completed by estimates where it said nothing, and marked as such.
 *
 * @param isWhole whether the answer came to its end: what was reported before may have been said early
 */
export function usageFrom(
  reported: Partial<ReportedUsage>,
  requestBytes: number,
  answerBytes: number,
  isWhole = true,
): Usage {
  const { inputTokens = likelyTokens(requestBytes) } = reported;
  const likely = likelyTokens(answerBytes);
  const said = reported.outputTokens ?? likely;
  const outputTokens = isWhole ? said : Math.max(said, likely);
  const isReported = reported.inputTokens === inputTokens && reported.outputTokens === outputTokens;
  return { inputTokens, outputTokens, source: isReported ? 'reported' : 'estimated' };
}

/** An operation that generates nothing has no output, whatever an estimate takes its answer for. */
function chargedUsage(usage: Usage, charges: ProxiedOperation['charges']): Usage {
  if (charges === 'nothing') return NO_USAGE;
  return charges === 'input' ? { ...usage, outputTokens: 0 } : usage;
}

/** How a failure between us and the upstream ends a request. */
export function endOf(code: DenialCode): RequestEnd {
  return code === 'upstream_incomplete' || code === 'upstream_timeout'
    ? 'upstream_incomplete'
    : 'upstream_error';
}
