/** Asks a witness to cosign: C2SP tlog-witness, `POST <url>/add-checkpoint`. Bounded in time and size. */
import { Agent, request, type Dispatcher } from 'undici';
import { formatAddCheckpoint, type AddCheckpoint } from '../core/audit/add-checkpoint.ts';
import type { WitnessFailure } from '../core/audit/witness-failures.ts';

/** A hundred signature lines are some 20 kB. */
const MOST_BYTES = 64 * 1024;

/** What a witness answers. */
export type WitnessAnswer =
  /** Signature lines, not checked. */
  | { kind: 'cosigned'; lines: string }
  /** The size that it knows. */
  | { kind: 'conflict'; size: number }
  | { kind: 'failed'; failure: WitnessFailure };

const FAILURE_OF_STATUS: Readonly<Record<number, WitnessFailure>> = {
  400: 'bad_request',
  403: 'not_trusted',
  404: 'unknown_log',
  422: 'inconsistent',
  429: 'busy',
  503: 'busy',
};

export class WitnessClient {
  readonly #url: string;
  readonly #withinMs: number;
  // One at a time is asked; the connection is kept from one checkpoint to the next.
  readonly #agent = new Agent({ connections: 1, pipelining: 1 });

  /** @param url prefix of the witness, without a slash at its end */
  constructor(url: string, withinMs: number) {
    this.#url = `${url}/add-checkpoint`;
    this.#withinMs = withinMs;
  }

  /** Never rejects: what goes wrong is an answer, too. */
  async addCheckpoint(asked: AddCheckpoint, stop: AbortSignal): Promise<WitnessAnswer> {
    const deadline = AbortSignal.timeout(this.#withinMs);
    try {
      // undici follows no redirect of itself: the address is the configured one, and no other.
      const { statusCode, headers, body } = await request(this.#url, {
        method: 'POST',
        dispatcher: this.#agent,
        headers: { 'content-type': 'text/plain; charset=utf-8', 'user-agent': 'sallyport' },
        body: formatAddCheckpoint(asked),
        signal: AbortSignal.any([deadline, stop]),
      });
      try {
        const text = await readBounded(body);
        return text === undefined ? failed('bad_answer') : answerOf(statusCode, headers, text);
      } finally {
        // A body that was not read to its end would hold the connection.
        body.on('error', () => undefined).destroy();
      }
    } catch {
      return failed(deadline.aborted ? 'timeout' : 'unreachable');
    }
  }

  close(): void {
    void this.#agent.destroy();
  }
}

function answerOf(
  status: number,
  headers: Dispatcher.ResponseData['headers'],
  text: string,
): WitnessAnswer {
  if (status === 200) return { kind: 'cosigned', lines: text };
  if (status !== 409) return failed(FAILURE_OF_STATUS[status] ?? 'refused');
  const type = String(headers['content-type'] ?? '');
  const [, decimal] = /^(0|[1-9]\d{0,15})\n?$/.exec(text) ?? [];
  // Without a size, a conflict is one of two checkpoints of the same size.
  if (!/^text\/x\.tlog\.size\s*(;|$)/i.test(type) || decimal === undefined)
    return failed('disagrees');
  return { kind: 'conflict', size: Number(decimal) };
}

const failed = (failure: WitnessFailure): WitnessAnswer => ({ kind: 'failed', failure });

/** @returns undefined where it is too long, or not in UTF-8 */
async function readBounded(body: AsyncIterable<Buffer>): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.length;
    if (size > MOST_BYTES) return undefined;
    chunks.push(chunk);
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks));
  } catch {
    return undefined;
  }
}
