/** `kill -9` under load, with transcripts sealed: what the log names is there and opens, and nothing else is. */
import Database from 'better-sqlite3';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { cleanUp, newDirectory, startDemo, writeGrantFile } from '../support/broker-process.ts';
import { CrashClients } from '../support/crash-clients.ts';
import type { LogEntry } from '../support/running-broker.ts';
import {
  openaiJson,
  openaiStream,
  startScriptedUpstream,
  type ScriptedUpstream,
} from '../support/scripted-upstream.ts';
import { readStored } from '../support/stored-log.ts';
import {
  SEALED,
  commitment,
  factsIn,
  keptBody,
  sha256,
  storedFile,
  transcriptsPath,
} from '../support/transcripts.ts';

const KILLS = 6;

let upstream: ScriptedUpstream | undefined;

afterEach(async () => {
  await cleanUp();
  await upstream?.close();
  upstream = undefined;
});

/** A long answer, so that some kills come while it is written into a file of its own. */
const LONG = Array.from({ length: 40 }, (_, i) => `${i} ${'x'.repeat(6_000)}`);

interface Found {
  ends: Map<string, number>;
  /** Outcomes that are unknown and name the request that is kept. */
  unknownKept: number;
}

/** Holds everything that is kept against the log. */
function check(dataDir: string): Found {
  const entries = readStored(dataDir, (data) =>
    data.entries(0).map(({ entry }) => entry as unknown as LogEntry),
  );
  const intents = new Map(
    entries.filter(({ kind }) => kind === 'request.intent').map((entry) => [entry.ref, entry]),
  );
  const found: Found = { ends: new Map(), unknownKept: 0 };
  const named = new Set<string>();
  for (const outcome of entries.filter(({ kind }) => kind === 'request.outcome')) {
    const { ref = '', data } = outcome;
    const end = data?.end ?? '';
    found.ends.set(end, (found.ends.get(end) ?? 0) + 1);
    const facts = factsIn(outcome) ?? {};
    for (const part of ['request', 'response'] as const) {
      const said = facts[part];
      if (!said) continue;
      named.add(`${ref}:${part}`);
      const file = storedFile(dataDir, ref, part);
      expect(file && sha256(file)).toBe(said.sha256);
      if (said.cut) continue;
      const body = keptBody(dataDir, ref, part);
      const said64 = (part === 'request' ? intents.get(ref) : outcome)?.data?.[`${part}Commitment`];
      // Of an unknown end, the log has no commitment to the answer.
      const expected = end === 'unknown' && part === 'response' ? undefined : said64;
      expect(body).toBeDefined();
      expect(body && (expected === undefined || commitment(body) === expected)).toBe(true);
    }
    expect(end !== 'completed' || (facts.request && facts.response)).toBeTruthy();
    if (end === 'unknown' && facts.request) found.unknownKept += 1;
  }
  const database = new Database(transcriptsPath(dataDir), { readonly: true });
  const bodies = database.prepare(`SELECT request || ':' || part FROM bodies`).pluck().all();
  database.close();
  expect(bodies.filter((body) => !named.has(body as string))).toEqual([]);
  return found;
}

test(`what is sealed survives ${KILLS} kills, and what belongs to no call is collected`, async () => {
  upstream = await startScriptedUpstream();
  upstream.respond(async (request, res) => {
    await delay(Math.random() * 25);
    const isStream = (request.body as { stream?: boolean } | undefined)?.stream === true;
    const chunks = Math.random() < 0.3 ? LONG : ['a', 'b', 'c'];
    const answer = isStream ? openaiStream({ paceMs: 3, chunks }) : openaiJson();
    await answer(request, res);
  });
  const dataDir = newDirectory();
  const none = { requests: null, tokens: null, spendUsd: null };
  const limits = { requestsPerMinute: null, tokensPerMinute: null, concurrent: null };
  const grant = writeGrantFile({ ...SEALED, limits, budgets: none });
  const clients = new CrashClients();
  let last: Found | undefined;
  for (let kill = 0; kill <= KILLS; kill += 1) {
    const options = { dataDir, upstream: upstream.url, ...(kill === 0 ? { grant } : {}) };
    const broker = await startDemo(options);
    const ended = clients.load(broker.facts);
    await clients.answered(20 + Math.random() * 40);
    await delay(Math.random() * 50);
    await broker.process.end('SIGKILL');
    await ended;
  }
  const broker = await startDemo({ dataDir, upstream: upstream.url });
  expect(await broker.process.end('SIGTERM')).toEqual({ code: 0, signal: null });
  last = check(dataDir);
  expect(last.ends.get('completed')).toBeGreaterThan(KILLS);
  expect(last.unknownKept).toBeGreaterThan(0);
}, 110_000);
