/** `/healthz` and `/readyz`, for whatever serves them: no credential, no more than one word of why. */
import type { RequestListener, ServerResponse } from 'node:http';
import type { ReadinessState } from '../broker/readiness.ts';
import { refusal } from '../core/denials.ts';
import { sendRefusal } from '../gateway/error-body.ts';
import { systemClock } from '../lib/clock.ts';
import { mintId } from '../lib/ids.ts';

export interface HealthAnswer {
  status: 200 | 503;
  headers: Record<string, string>;
  body: string;
}

/** The process answers, so it lives. */
export const ALIVE: HealthAnswer = answer(200, { status: 'ok' });

/** Whether requests can be served, and if not, why. */
export function readinessAnswer(state: ReadinessState): HealthAnswer {
  return state === 'ready'
    ? answer(200, { status: 'ready' })
    : answer(503, { status: 'not ready', reason: state });
}

function answer(status: HealthAnswer['status'], body: Record<string, string>): HealthAnswer {
  const headers: Record<string, string> = status === 503 ? { 'retry-after': '1' } : {};
  return { status, headers, body: JSON.stringify(body) };
}

/** Sends it as JSON. */
export function sendHealth(res: ServerResponse, { status, headers, body }: HealthAnswer): void {
  res.writeHead(status, {
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...headers,
  });
  res.end(body);
}

/** Answers while the broker starts: it lives, and takes nothing yet. SDKs are told so in their own shape. */
export const whileStarting: RequestListener = (req, res) => {
  if (/^\/v1(?:[/?]|$)/.test(req.url ?? ''))
    sendRefusal(res, refusal('starting_up'), mintId('req', systemClock()));
  else sendHealth(res, req.url === '/healthz' ? ALIVE : readinessAnswer('starting'));
};
