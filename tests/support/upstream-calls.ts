/** Calls to an upstream, without a broker around them: what a connection does in each phase. */
import { pino } from 'pino';
import { endpointSchema } from '../../src/core/endpoints.ts';
import type { UpstreamAnswer } from '../../src/gateway/upstream-answer.ts';
import { Cancellation } from '../../src/lib/cancellation.ts';
import { UpstreamFailure } from '../../src/gateway/upstream-failure.ts';
import { Upstream } from '../../src/gateway/upstream.ts';
import type { UpstreamTimes } from '../../src/gateway/wire.ts';

interface Options {
  http2?: boolean;
  tls?: { caFile?: string; certFile?: string; keyFile?: string };
  credential?: string;
  times?: Partial<UpstreamTimes>;
}

/** An upstream, and the lines of the operational log that it wrote. */
export function openUpstream(
  url: string,
  { times, ...endpoint }: Options = {},
): { upstream: Upstream; logged: Record<string, unknown>[] } {
  const logged: Record<string, unknown>[] = [];
  const log = pino(
    { base: null },
    {
      write: (line: string) => void logged.push(JSON.parse(line) as Record<string, unknown>),
    },
  );
  const parsed = endpointSchema.parse({
    id: 'demo',
    dialects: ['openai'],
    models: ['model-a-1'],
    upstream: url,
    ...endpoint,
  });
  const upstream = new Upstream(
    { ...parsed, endpoint: parsed.id, name: null },
    { connectMs: 5_000, firstByteMs: 5_000, idleMs: 5_000, ...times },
    log,
  );
  return { upstream, logged };
}

/** One call and what became of it. */
export interface Call {
  head: Promise<UpstreamAnswer>;
  /** Reads the whole answer. */
  text: () => Promise<string>;
  cancellation: Cancellation;
  /** How often the request was on the point of leaving. */
  sent: () => number;
}

export function call(upstream: Upstream, body = '{"model":"model-a-1"}'): Call {
  const cancellation = new Cancellation();
  let sent = 0;
  const head = upstream.send({
    path: '/v1/chat/completions',
    authorise: (credential) => ['authorization', `Bearer ${credential}`],
    body: Buffer.from(body),
    headers: [],
    stream: false,
    cancellation,
    sending: () => {
      sent += 1;
    },
  });
  return { head, text: () => head.then(readText), cancellation, sent: () => sent };
}

async function readText(answer: UpstreamAnswer): Promise<string> {
  const chunks: Buffer[] = [];
  await answer.read((chunk) => void chunks.push(chunk));
  return Buffer.concat(chunks).toString('utf8');
}

/** How a call failed. @throws when it did not */
export async function failureOf(
  promise: Promise<unknown>,
): Promise<{ code: string; mayHaveArrived: boolean; message: string }> {
  try {
    await promise;
  } catch (error) {
    if (!(error instanceof UpstreamFailure)) throw error;
    const { refusal, mayHaveArrived } = error;
    return { code: refusal.code, mayHaveArrived, message: refusal.message };
  }
  throw new Error('The call succeeded.');
}
