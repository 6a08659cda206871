/** One turn of requests on one target, and what it cost. */
import { chatAnswer, chatBody, type Asked } from './chat.ts';
import { processorSeconds } from './processor.ts';
import type { Requests, RequestsSent } from './send-requests.ts';
import type { Spread } from './samples.ts';
import { requestTo, type Setting, type Target } from './targets.ts';

/** How much load, for how long. */
export interface Turn extends Pick<Asked, 'promptLength'> {
  connections: number;
  warmUpMs: number;
  ms: number;
}

export interface TurnTaken {
  /** Requests a second. */
  rate: number;
  /** Milliseconds. */
  latency: Spread;
  /** Processor time of the process under test, µs a request. */
  processor: number;
}

/** @throws when an answer is not as it should be */
export async function takeTurn(
  setting: Pick<Setting, 'clients' | 'model'>,
  target: Target,
  turn: Turn,
): Promise<TurnTaken> {
  const { promptLength, ...load } = turn;
  const body = chatBody(setting.model, promptLength === undefined ? {} : { promptLength });
  const usedBefore = processorSeconds(target.pid);
  const { total, count, seconds, latency } = await setting.clients.ask<RequestsSent>({
    kind: 'requests',
    port: target.port,
    request: requestTo(target, body),
    expectedBytes: chatAnswer(setting.model).length,
    ...load,
  } satisfies Requests);
  const used = processorSeconds(target.pid) - usedBefore;
  return { rate: count / seconds, latency, processor: (used / total) * 1e6 };
}

/** Rates rise for about so long: V8 compiles what has run some ten thousand times. */
const WARM_UP = { connections: 32, warmUpMs: 0, ms: 10_000 };

/** Has all targets do some work first: a gateway runs for weeks, and is measured as it then is. */
export async function warmUp(
  setting: Pick<Setting, 'clients' | 'model'>,
  targets: readonly Target[],
): Promise<void> {
  for (const target of targets) await takeTurn(setting, target, WARM_UP);
}
