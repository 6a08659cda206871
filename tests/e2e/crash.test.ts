/**
 * `kill -9` at random moments, under load, again and again: what was promised before the last kill must
 * hold after the next start, as the database, the upstream and the clients each remember it.
 */
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { verifyBundle } from '../../src/audit/verify-bundle.ts';
import {
  Running,
  cleanUp,
  demoArguments,
  newDirectory,
  runCommand,
  startDemo,
  writeGrantFile,
} from '../support/broker-process.ts';
import { CrashClients } from '../support/crash-clients.ts';
import { CrashRecord } from '../support/crash-record.ts';
import {
  openaiJson,
  openaiStream,
  startScriptedUpstream,
  type ScriptedUpstream,
} from '../support/scripted-upstream.ts';

const KILLS = 22;
const USAGE = { inputTokens: 40, outputTokens: 20 };

/** Each is used up in about the middle of its half of the kills. */
const CAPS = { requests: 300, tokens: 45_000 } as const;

const NO_LIMITS = { requestsPerMinute: null, tokensPerMinute: null, concurrent: null };

let upstream: ScriptedUpstream | undefined;

afterEach(async () => {
  await cleanUp();
  await upstream?.close();
  upstream = undefined;
});

test(
  `invariants 1, 2, 3 and 9, known failure 7: nothing that was promised is lost in ${KILLS} kills`,
  { timeout: 110_000 },
  async () => {
    upstream = await startScriptedUpstream();
    upstream.respond(async (request, res) => {
      await delay(Math.random() * 25);
      const isStream = (request.body as { stream?: boolean } | undefined)?.stream === true;
      const answer = isStream
        ? openaiStream({ usage: USAGE, paceMs: 4, chunks: ['a', 'b', 'c', 'd', 'e', 'f'] })
        : openaiJson({ usage: USAGE });
      await answer(request, res);
    });
    const dataDir = newDirectory();
    const clients = new CrashClients();
    const record = new CrashRecord(dataDir, upstream, clients, CAPS);
    const byRequests = writeGrantFile({
      limits: NO_LIMITS,
      budgets: { requests: CAPS.requests, tokens: null, spendUsd: null },
    });
    const byTokens = writeGrantFile({
      limits: NO_LIMITS,
      budgets: { requests: null, tokens: CAPS.tokens, spendUsd: null },
    });
    const startMs: number[] = [];

    for (let kill = 0; kill < KILLS; kill += 1) {
      // The first half is under a cap of requests, the second under one of tokens.
      const grant = kill === 0 ? byRequests : kill === KILLS / 2 ? byTokens : undefined;
      const options = { dataDir, upstream: upstream.url, ...(grant ? { grant } : {}) };
      // Now and then the start itself is what is killed, recovery included.
      if (kill % 6 === 5) {
        const starting = new Running(demoArguments(options));
        await delay(200 + Math.random() * 600);
        await starting.end('SIGKILL');
      }
      const begun = performance.now();
      const broker = await startDemo(options);
      startMs.push(performance.now() - begun);
      const { facts } = broker;
      record.capped[kill < KILLS / 2 ? 'requests' : 'tokens'] = facts.grant;
      record.checkAfterStart();
      const ended = clients.load(facts);
      await clients.answered(20 + Math.random() * 60);
      record.checkUnderLoad();
      await delay(Math.random() * 50);
      await broker.process.end('SIGKILL');
      await ended;
    }

    const last = await startDemo({ dataDir, upstream: upstream.url });
    record.checkAfterStart();
    const evidence = join(newDirectory(), 'evidence.tar');
    const auditor = last.facts.people.find(({ role }) => role === 'auditor');
    const exported = await runCommand(['audit', 'export', '--out', evidence], {
      env: {
        SALLYPORT_URL: last.facts.url,
        SALLYPORT_PERSON: auditor?.id ?? '',
        SALLYPORT_KEY: auditor?.keyFile ?? '',
      },
    });
    expect(exported).toMatchObject({ code: 0 });
    expect(await last.process.end('SIGTERM')).toEqual({ code: 0, signal: null });
    record.checkAtTheEnd(last.facts.log.verifierKey);

    const { verifierKey } = last.facts.log;
    const verified = await runCommand(['audit', 'verify', evidence, '--key', verifierKey]);
    expect(verified).toMatchObject({ code: 0, stdout: expect.stringContaining('SOUND') });
    expect(await verifyBundle(evidence, verifierKey)).toMatchObject({ status: 'sound' });

    // The test has had something to bite on.
    expect(upstream.failures).toEqual([]);
    expect(record.ends.get('completed')).toBeGreaterThan(KILLS);
    expect(record.ends.get('unknown')).toBeGreaterThan(KILLS / 2);
    expect(record.ends.get('client_gone')).toBeGreaterThan(5);
    expect([...clients.refused.values()]).toContain('quota_exhausted');
    expect(record.used('requests')).toBe(CAPS.requests);
    expect(record.used('tokens')).toBeGreaterThan(CAPS.tokens * 0.95);
    startMs.sort((a, b) => a - b);
    process.stdout.write(
      `${KILLS} kills; start-up ${startMs[0]?.toFixed(0)} to ${startMs.at(-1)?.toFixed(0)} ms, median ${startMs[KILLS / 2]?.toFixed(0)} ms; ends: ${JSON.stringify([...record.ends])}\n`,
    );
  },
);
