/** Clients that are slower than the upstream: it waits for them, in bounded memory, but not for ever. */
import { once } from 'node:events';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { eventually, startRunningBroker, type RunningBroker } from '../support/running-broker.ts';
import { rawStream, streamRequest, type RawStream } from '../support/raw-stream.ts';
import type { Handler } from '../support/scripted-upstream.ts';

const MIB = 1_048_576;
const CLIENTS = 50;
const STREAM_BYTES = 50 * MIB;
/** The kernel's buffers hold some megabytes of one stream on its two ways; the rest must wait at the upstream. */
const MOST_ON_THE_WAY = STREAM_BYTES / 2;
/** Of all streams together, in this process: the broker, the upstream and the clients. */
const MOST_IN_MEMORY = 256 * MIB;

let running: RunningBroker;
let hasty: RunningBroker;

beforeAll(async () => {
  running = await startRunningBroker();
  hasty = await startRunningBroker({
    gateway: { keepAliveSeconds: 0.05, idleSeconds: 1, requestSeconds: 3 },
  });
});
afterEach(() => {
  running.checkUpstream();
  hasty.checkUpstream();
});
afterAll(() => Promise.all([running.close(), hasty.close()]));

const EVENT = Buffer.from(
  `data: ${JSON.stringify({ choices: [{ delta: { content: 'x'.repeat(65_536) } }] })}\n\n`,
);
const REST = `data: ${JSON.stringify({ choices: [], usage: { prompt_tokens: 3, completion_tokens: 4 } })}\n\ndata: [DONE]\n\n`;

/** Sends so many bytes as fast as they are taken, and counts what it could write of each stream. */
function flood(sent: number[]): Handler {
  return async (_req, res) => {
    const mine = sent.push(0) - 1;
    const gone = new AbortController();
    res.once('close', () => gone.abort());
    res.writeHead(200, { 'content-type': 'text/event-stream' });
    try {
      for (let bytes = 0; bytes < STREAM_BYTES; bytes += EVENT.length) {
        if (!res.write(EVENT)) await once(res, 'drain', { signal: gone.signal });
        sent[mine] = bytes;
      }
      res.end(REST);
    } catch (error) {
      if (!gone.signal.aborted) throw error;
    }
  };
}

/** Begins to read, then stops for good. */
async function stuck({ url }: RunningBroker, token: string): Promise<RawStream> {
  const client = rawStream(url, streamRequest(token));
  await client.has('200 OK');
  client.socket.pause();
  return client;
}

/** The most that buffers of this process came to while it ran. */
function watchMemory(): { stop(): number } {
  let most = 0;
  const look = (): void => void (most = Math.max(most, process.memoryUsage().arrayBuffers));
  const timer = setInterval(look, 20);
  return {
    stop() {
      look();
      clearInterval(timer);
      return most;
    },
  };
}

describe('clients that never read', () => {
  it('hold their upstreams up, are not blamed on them, and end with the time of their requests', async () => {
    const access = await hasty.access();
    const sent: number[] = [];
    hasty.upstream.respond(flood(sent));
    const index = hasty.upstream.requests.length;
    const clients = await Promise.all(
      Array.from({ length: CLIENTS }, () => stuck(hasty, access.token)),
    );
    const memory = watchMemory();
    await Promise.all(clients.map((_client, i) => hasty.upstream.waitForAbort(index + i)));
    const most = memory.stop();
    expect(sent).toHaveLength(CLIENTS);
    for (const bytes of sent) expect(bytes).toBeLessThan(MOST_ON_THE_WAY);
    expect(most).toBeLessThan(MOST_IN_MEMORY);
    const outcomes = await eventually(() => {
      const all = hasty.entries({ kind: 'request.outcome', grant: access.grant.id });
      expect(all).toHaveLength(CLIENTS);
      return all;
    });
    for (const outcome of outcomes)
      expect(outcome).toMatchObject({
        reason: 'upstream_timeout',
        data: { end: 'deadline', usage: { source: 'estimated' }, charged: { requests: 1 } },
      });
    expect(hasty.sums(access.grant)).toMatchObject({ requestsReserved: 0, tokensReserved: 0 });
    await eventually(() => expect(hasty.test.broker.live.count).toBe(0));
    for (const { socket } of clients) socket.destroy();
  }, 20_000);
});

describe('a client that reads late', () => {
  it('gets all of it', async () => {
    const access = await running.access();
    const sent: number[] = [];
    running.upstream.respond(flood(sent));
    const client = await stuck(running, access.token);
    // The upstream could not write all of it, and cannot go on.
    let before = -1;
    await eventually(() => {
      const now = sent[0] ?? 0;
      const stands = now > 0 && now === before;
      before = now;
      expect(stands).toBe(true);
    });
    expect(before).toBeLessThan(MOST_ON_THE_WAY);
    client.socket.resume();
    await client.has('[DONE]');
    expect(client.text().length).toBeGreaterThan(STREAM_BYTES);
    client.socket.destroy();
    expect((await running.outcomeOf(access.grant)).data).toMatchObject({
      end: 'completed',
      usage: { inputTokens: 3, outputTokens: 4, source: 'reported' },
    });
  });
});
