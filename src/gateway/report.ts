/** What a request leaves for operators: numbers, and one line of the operational log. Ids, codes and numbers alone. */
import type { Broker } from '../broker/broker.ts';
import type { UpstreamFailureKind } from '../broker/metrics.ts';
import { jsonMembers } from '../core/audit/entry.ts';
import { DENIALS, RefusedError, refusal, type DenialCode } from '../core/denials.ts';
import type { RequestEnd, RequestFacts, Usage } from '../core/requests.ts';
import type { Caller } from './caller.ts';
import { tenths, type Split } from './timing.ts';

/** How an admitted request ended. */
export interface End {
  end: RequestEnd;
  /** Why, where something other than the upstream's own answer ended it. */
  code: DenialCode | undefined;
  upstreamStatus: number | undefined;
  usage: Usage;
  modelMismatch: boolean;
  /** Whether the outcome is durable; if not, it is tried until it is. */
  recorded: boolean;
}

type Sinks = Pick<Broker, 'metrics' | 'requestLog'>;

/** To be called once for each admitted request, when its outcome is durable or could not be made so. */
export function reportEnd(
  { metrics, requestLog }: Sinks,
  facts: RequestFacts,
  { end, code, upstreamStatus, usage, modelMismatch, recorded }: End,
  split: Split,
): void {
  const { operation, endpoint } = facts;
  const { receiveMs, gatewayMs, upstreamMs, firstByteMs } = split;
  const upstreamFailure = failureKind(end, code, upstreamStatus);
  metrics.ended({
    operation,
    endpoint,
    end,
    usage,
    gatewayMs,
    upstreamMs,
    firstByteMs,
    modelMismatch,
    upstreamFailure,
  });
  const model = JSON.stringify(facts.model);
  let line = `"requestId":"${facts.requestId}","grant":"${facts.grantId}","endpoint":"${endpoint}"`;
  line += `,"operation":"${operation}","model":${model},"stream":${facts.stream},"end":"${end}"`;
  if (code !== undefined) line += `,"code":"${code}"`;
  if (upstreamStatus !== undefined) line += `,"upstreamStatus":${upstreamStatus}`;
  if (modelMismatch) line += ',"modelMismatch":true';
  if (!recorded) line += ',"recorded":false';
  line += `,"inputTokens":${usage.inputTokens},"outputTokens":${usage.outputTokens},"usage":"${usage.source}"`;
  line += `,"receiveMs":${tenths(receiveMs)},"gatewayMs":${tenths(gatewayMs)},"upstreamMs":${tenths(upstreamMs)}`;
  if (firstByteMs !== undefined) line += `,"firstByteMs":${tenths(firstByteMs)}`;
  requestLog.write(line, 'request ended');
}

/** What the upstream did wrong, or undefined where it was not the upstream. */
function failureKind(
  end: RequestEnd,
  code: End['code'],
  upstreamStatus: number | undefined,
): UpstreamFailureKind | undefined {
  if (code?.startsWith('upstream_')) return end === 'deadline' ? undefined : code;
  if (end !== 'upstream_error') return undefined;
  if (upstreamStatus === 429) return 'status_429';
  if (upstreamStatus === undefined || upstreamStatus < 400) return 'error_event';
  return upstreamStatus < 500 ? 'status_4xx' : 'status_5xx';
}

/** To be called for each refusal of a caller who is known, with what is answered. */
export function reportRefusal(
  { metrics, requestLog }: Sinks,
  requestId: string,
  { access }: Caller,
  asked: { method: string; route: string },
  error: unknown,
): void {
  const { code } = error instanceof RefusedError ? error.refusal : refusal('unexpected');
  metrics.refused('gateway', 'known', code);
  const { status } = DENIALS[code];
  requestLog.write(
    jsonMembers({ requestId, grant: access.grant, ...asked, code, status }),
    'request refused',
  );
}
