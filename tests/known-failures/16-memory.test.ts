/** Known failure 16: memory that was needed under load is given back: each further load adds nothing. */
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import {
  cleanUp,
  newDirectory,
  startDemo,
  startServe,
  tokenFrom,
  writeGrantFile,
  writeServeConfig,
} from '../support/broker-process.ts';
import { measurable, measure, type Memory } from '../support/measured-process.ts';
import {
  openaiJson,
  openaiStream,
  startScriptedUpstream,
  type ScriptedUpstream,
} from '../support/scripted-upstream.ts';

const REQUESTS = 1_000;
const CONNECTIONS = 16;

/** Something that is kept of every request takes more than this. */
const HELD_PER_REQUEST = 200;
const RESIDENT_PER_REQUEST = 4_096;

/** What else changes in a heap comes and goes: over so many loads it is nothing, as a leak never is. */
const LOADS = 3;
const MOST_LOADS = 8;

let upstream: ScriptedUpstream;
beforeAll(async () => {
  upstream = await startScriptedUpstream();
  upstream.respond((req, res) => {
    // Not kept here either.
    upstream.requests.length = 0;
    const { stream } = req.body as { stream: boolean };
    return (stream ? openaiStream() : openaiJson())(req, res);
  });
});
afterEach(cleanUp);
afterAll(() => upstream.close());

it('known failure 16: the same load once more adds no memory', { timeout: 180_000 }, async () => {
  const limits = { requestsPerMinute: null, tokensPerMinute: null, concurrent: null };
  const dataDir = newDirectory();
  const grant = writeGrantFile({ limits });
  const demo = await startDemo({ dataDir, upstream: upstream.url, grant });
  await demo.process.end('SIGTERM');
  const config = writeServeConfig(demo.facts, { upstream: upstream.url });
  const { process, url } = await startServe(config, { env: measurable() });
  const token = await tokenFrom(demo.facts, url);
  const ask = (number: number): Promise<void> => call(url, token, demo.facts.model, number);

  // Code is compiled, pools and caches fill.
  await load(ask);
  const measured = [await measure(process)];
  while (!addsNothing(measured) && measured.length <= MOST_LOADS) {
    await load(ask);
    measured.push(await measure(process));
  }
  expect({ addsNothing: addsNothing(measured), measured }).toMatchObject({ addsNothing: true });
});

/** Whether the last loads have added nothing to speak of. */
function addsNothing(measured: readonly Memory[]): boolean {
  const [before, after] = [measured.at(-1 - LOADS), measured.at(-1)];
  if (!before || !after) return false;
  const requests = LOADS * REQUESTS;
  return (
    after.held - before.held < HELD_PER_REQUEST * requests &&
    after.resident - before.resident < RESIDENT_PER_REQUEST * requests
  );
}

async function load(ask: (number: number) => Promise<void>): Promise<void> {
  let next = 0;
  const connection = async (): Promise<void> => {
    for (let number = (next += 1); number <= REQUESTS; number = next += 1) await ask(number);
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, connection));
}

/** Answers, streams, clients that leave and refusals, in turn. */
async function call(url: string, token: string, model: string, number: number): Promise<void> {
  const kind = number % 4;
  const leave = new AbortController();
  const answer = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({
      model: kind === 3 ? 'model-x' : model,
      max_tokens: 10,
      stream: kind === 1 || kind === 2,
      messages: [{ role: 'user', content: 'x'.repeat(2_000) }],
    }),
    signal: leave.signal,
  });
  // On a machine that is busy with something else the log can be late, which is no leak either.
  expect([kind === 3 ? 403 : 200, 503]).toContain(answer.status);
  if (kind === 2) {
    leave.abort();
    await answer.text().catch(() => undefined);
  } else await answer.text();
}
