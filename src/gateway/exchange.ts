/** One admitted request on its way through: what both kinds of answer, whole and streamed, work with. */
import type { ServerResponse } from 'node:http';
import { joinMembers } from '../core/audit/entry.ts';
import { RefusedError, type DenialCode, type Refusal } from '../core/denials.ts';
import { priceNanoUsd, type Endpoint } from '../core/endpoints.ts';
import { likelyTokens } from '../core/estimate.ts';
import {
  answeredMembers,
  outcomeMembers,
  type Charge,
  type RequestEnd,
  type RequestFacts,
  type Usage,
} from '../core/requests.ts';
import type { Broker } from '../broker/broker.ts';
import type { LiveRequest } from '../broker/live-requests.ts';
import type { Cancellation } from '../lib/cancellation.ts';
import type { ProxiedOperation, ReportedUsage } from './operations/operation.ts';
import type { HeaderList } from './answer-head.ts';
import type { CallTranscript } from './call-transcript.ts';
import type { CredentialMask } from './credential-mask.ts';
import { Commitment } from './commitment.ts';
import { reportEnd } from './report.ts';
import type { Timing } from './timing.ts';
import type { Upstream } from './upstream.ts';

export interface Outcome {
  end: RequestEnd;
  why?: Refusal | undefined;
  upstreamStatus?: number | undefined;
  usage: Usage;
  /** Whether the answer, or what the client would have seen of it, quotes a credential of the host. */
  isQuoting?: boolean;
  /** Whether it counts against budgets of requests: everything that may have reached the upstream. */
  forwarded: boolean;
  modelAnswered?: string | undefined;
}

export interface ExchangeParts {
  requestId: string;
  facts: RequestFacts;
  timing: Timing;
  /** Where the end is recorded and reported. */
  broker: Pick<Broker, 'clock' | 'log' | 'metrics' | 'requestLog' | 'settler'>;
  endpoint: Endpoint;
  /** The model that it goes to: another than it names where an order puts a safeguard back. */
  dispatchedModel: string;
  operation: ProxiedOperation;
  res: ServerResponse;
  /** Headers of a successful answer. */
  headers: HeaderList;
  /** Cancelled when the request may not go on, its client has gone or its time is up. */
  cancellation: Cancellation;
  live: LiveRequest;
  salt: Uint8Array;
  /** What keeps its bodies; undefined: nothing does. */
  transcript: CallTranscript | undefined;
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
  /** Overwrites the host's credential in what is kept. */
  #mask: CredentialMask | undefined;
  #firstByteAt: number | undefined;
  #bytes = 0;
  #settled: Promise<void> | undefined;

  constructor(parts: ExchangeParts) {
    this.parts = parts;
    this.#startedAt = parts.broker.clock();
    this.#commitment = new Commitment(parts.salt);
  }

  /** Puts the headers of a successful answer that goes out now behind others: they say where the time went. */
  addHeaders(headers: HeaderList): HeaderList {
    headers.push(...this.parts.headers, 'server-timing', this.parts.timing.header());
    return headers;
  }

  /** Takes note that an answer begins, before its bytes come. */
  answerBegins(upstream: Pick<Upstream, 'mask'>, { isError }: { isError: boolean }): void {
    if (this.parts.transcript) this.#mask = upstream.mask({ isError });
  }

  /**
   * Takes note of bytes of the upstream's answer. What is kept of it, and committed to, is without the host's credential.
   *
   * @returns a promise where no more is to be read until it has resolved
   * @throws RefusedError `transcript_unavailable`
   */
  received(chunk: Buffer): Promise<void> | undefined {
    if (this.#firstByteAt === undefined) {
      this.#firstByteAt = this.parts.broker.clock();
      this.parts.timing.upstreamFirstByte();
    }
    this.#bytes += chunk.length;
    const kept = this.#mask ? this.#mask.push(chunk) : chunk;
    if (kept.length === 0) return undefined;
    this.#commitment.update(kept);
    return this.parts.transcript?.received(kept);
  }

  /**
   * Records the outcome and settles, once: when the transcript is durable. Only when this has returned may the last
   * byte go out.
   *
   * @throws RefusedError `log_unavailable`, `transcript_unavailable`
   */
  settle(outcome: Outcome): Promise<void> {
    this.#settled ??= this.#settleAndReport(outcome);
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
    const { facts, timing, broker, operation, dispatchedModel } = this.parts;
    const { end, why, upstreamStatus, modelAnswered } = outcome;
    const usage = chargedUsage(outcome.usage, operation.charges);
    const modelMismatch = modelAnswered !== undefined && modelAnswered !== dispatchedModel;
    timing.upstreamEnded();
    let recorded = false;
    try {
      await this.#settleNow(outcome, usage, modelMismatch);
      recorded = true;
    } finally {
      const ended = { end, code: why?.code, upstreamStatus, usage, modelMismatch, recorded };
      reportEnd(broker, facts, ended, timing.split());
    }
  }

  async #settleNow(
    { end, why: endedBy, forwarded, upstreamStatus, modelAnswered, isQuoting = false }: Outcome,
    usage: Usage,
    modelMismatch: boolean,
  ): Promise<void> {
    const { requestId, endpoint, broker, transcript } = this.parts;
    const rest = this.#mask?.end();
    if (rest && rest.length > 0) this.#commitment.update(rest);
    // What is too short to be looked for in every answer was found in this one, when some of it was kept already.
    const isWithheld = isQuoting && this.#mask?.isComplete === false;
    const quoted = isWithheld ? 'withheld' : this.#mask?.hasMasked ? 'masked' : undefined;
    const kept = transcript && (await transcript.end(rest, quoted));
    const why = endedBy ?? kept?.lost;
    const { clock, settler, log } = broker;
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
    const data = answeredMembers({
      upstreamStatus,
      durationMs: clock() - this.#startedAt,
      firstByteMs:
        this.#firstByteAt === undefined ? undefined : this.#firstByteAt - this.#startedAt,
      bytes: this.#bytes,
      // Whoever has the salt could find out a short secret by it.
      commitment: isWithheld ? undefined : this.#commitment.digest(),
      modelAnswered: modelAnswered === undefined ? undefined : plainModel(modelAnswered),
      modelMismatch,
      message: why?.message,
    });
    const result = outcomeMembers(end, usage, charge);
    await settler.settle({
      requestId,
      charge,
      reason: why?.code,
      orders: why?.orders,
      data: kept ? joinMembers(data, kept.member) : data,
      result,
    });
    // The outcome says so. The client must not take the call for one that ended well.
    if (kept?.lost && forwarded) throw new RefusedError(kept.lost);
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
  // The upstream is not to blame.
  if (code === 'transcript_unavailable') return 'cut';
  return code === 'upstream_incomplete' || code === 'upstream_timeout'
    ? 'upstream_incomplete'
    : 'upstream_error';
}
