/**
 * A whole broker for a test: the real server on a port of its own, over a data directory that is thrown
 * away. The writer thread runs from dist/, so build first (`npm test` does).
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { z } from 'zod';
import type { Broker } from '../../src/broker/broker.ts';
import { configSchema } from '../../src/config/schema.ts';
import type { Clock } from '../../src/lib/clock.ts';
import { createLogger, type Logger } from '../../src/lib/log.ts';
import { mustTellState } from './replayed.ts';
import { startServer } from '../../src/server.ts';

type ConfigInput = z.input<typeof configSchema>;

export interface TestBroker {
  url: string;
  /** Where the metrics are, if anywhere. */
  metricsUrl: string | undefined;
  broker: Broker;
  dataDir: string;
  close(): Promise<void>;
}

export interface TestBrokerOptions {
  server?: ConfigInput['server'];
  /** Without this: one endpoint `demo`, whose upstream nobody answers at. */
  endpoints?: ConfigInput['endpoints'];
  authority?: ConfigInput['authority'];
  neverGrant?: ConfigInput['neverGrant'];
  gateway?: ConfigInput['gateway'];
  tokens?: ConfigInput['tokens'];
  federation?: ConfigInput['federation'];
  metrics?: ConfigInput['metrics'];
  notices?: ConfigInput['notices'];
  forward?: ConfigInput['forward'];
  retention?: ConfigInput['retention'];
  logging?: ConfigInput['logging'];
  witnesses?: ConfigInput['witnesses'];
  witnessPolicy?: ConfigInput['witnessPolicy'];
  witnessed?: ConfigInput['witnessed'];
  witnessing?: ConfigInput['witnessing'];
  /** The log's name; those of two brokers that know each other differ. */
  origin?: string;
  clock?: Clock;
  log?: Logger;
  keeperThread?: URL;
  /** Used as it is, and left where it is: for a broker that starts again. Without this, one is made and thrown away. */
  dataDir?: string;
}

/** The compiled file of the thread that keeps transcripts. */
export const KEEPER_THREAD = new URL('../../dist/transcript-keeper.js', import.meta.url);

/** Two models, both dialects, everything on offer, a credential that no answer may show. */
export const DEMO_ENDPOINT: NonNullable<ConfigInput['endpoints']>[number] = {
  id: 'demo',
  description: 'An endpoint for tests',
  dialects: ['openai', 'anthropic'],
  upstream: 'http://127.0.0.1:9/v1',
  models: ['model-a-1', 'model-b-1'],
  safeguardsLifted: [
    { safeguard: 'output-classifier', reason: 'Its refusals hide the result', owner: 'A. Owner' },
  ],
  features: { streaming: true, systemPrompt: true, tools: true, maxOutputTokens: 8192 },
  prices: { inputUsdPerMillion: 3, outputUsdPerMillion: 15 },
};

/** Starts a broker in an empty data directory. It has no lab yet: see people.ts. */
export async function startTestBroker(options: TestBrokerOptions = {}): Promise<TestBroker> {
  const dataDir = options.dataDir ?? mkdtempSync(join(tmpdir(), 'sallyport-test-'));
  const config = configSchema.parse({
    server: { host: '127.0.0.1', port: 0, shutdownSeconds: 1, ...options.server },
    dataDir,
    log: { origin: options.origin ?? 'test.example/log' },
    endpoints: options.endpoints ?? [DEMO_ENDPOINT],
    authority: options.authority,
    neverGrant: options.neverGrant,
    gateway: options.gateway,
    tokens: {
      // Most tests fail on purpose, all from one address.
      failures: { longestHoldSeconds: 0, perAddressPerMinute: 1_000_000 },
      ...options.tokens,
    },
    federation: options.federation,
    metrics: options.metrics,
    notices: options.notices,
    forward: options.forward,
    retention: options.retention,
    logging: options.logging,
    witnesses: options.witnesses,
    witnessPolicy: options.witnessPolicy,
    witnessed: options.witnessed,
    witnessing: options.witnessing,
  } satisfies ConfigInput);
  const server = await startServer({
    config,
    log: options.log ?? createLogger({ level: 'silent' }),
    writerThread: new URL('../../dist/writer.js', import.meta.url),
    keeperThread: options.keeperThread ?? KEEPER_THREAD,
    fileThread: new URL('../../dist/file-forwarder.js', import.meta.url),
    ...(options.clock ? { clock: options.clock } : {}),
  });
  return {
    url: server.url,
    metricsUrl: server.metricsUrl,
    broker: server.broker,
    dataDir,
    close: async () => {
      const now = server.broker.clock();
      await server.close();
      // Whatever the test did, the log alone tells what came of it.
      mustTellState(dataDir, now);
      if (options.dataDir === undefined) rmSync(dataDir, { recursive: true, force: true });
    },
  };
}
