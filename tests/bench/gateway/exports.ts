/** Exports of a long log: how long they take, what they hold in memory, and what they cost requests meanwhile. */
import { rmSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { Area, Figure } from '../harness.ts';
import { Child } from './child.ts';
import { goal } from './goals.ts';
import { takeTurn, warmUp } from './load.ts';
import { residentBytes } from './processor.ts';
import { Premises, startSallyport, type RunningSallyport } from './sallyport.ts';
import { seed, seededFigure } from './seeding.ts';
import { targetOf } from './targets.ts';

const ENTRIES = 1_000_000;

const FORMATS = ['jsonl', 'parquet', 'bundle', 'csv', 'ocsf'] as const;
type Format = (typeof FORMATS)[number];

const GOALS: Partial<Record<Format, Parameters<typeof goal>[0]>> = {
  jsonl: 'exportJsonLinesSeconds',
  parquet: 'exportParquetSeconds',
};

const REST_MS = 5_000;
const LOOK_EVERY_MS = 50;
const MIB = 1 << 20;

/** Fewer than what the broker can take: a queue of its own would hide what the export costs. */
const TURN = { connections: 4, warmUpMs: 500, ms: 5_000 };

export const exportsArea: Area = async (report) => {
  const premises = await Premises.prepare();
  report(seededFigure(`${ENTRIES.toLocaleString('en-US')} entries`, await seed(premises, ENTRIES)));
  const { model } = premises.facts;
  const upstream = new Child(new URL('./upstream.ts', import.meta.url));
  const clients = new Child(new URL('./clients.ts', import.meta.url));
  const port = await upstream.ask<number>({ model });
  const broker = await startSallyport(premises, `http://127.0.0.1:${port}`);
  try {
    const target = targetOf('sallyport', broker);
    const setting = { clients, model };
    await warmUp(setting, [target]);
    for (const format of FORMATS) report(await exportOnce(broker, format));
    const alone = await takeTurn(setting, target, TURN);
    report(turnFigure('requests, no export', alone));
    for (const format of ['jsonl', 'parquet'] as const) {
      const stop = new AbortController();
      const exporting = exportUntil(broker, format, stop.signal);
      const beside = await takeTurn(setting, target, TURN);
      stop.abort();
      await exporting;
      report({
        ...turnFigure(`requests beside exports as ${format}`, beside),
        ratio: { value: beside.latency.p99 / alone.latency.p99, to: 'no export' },
      });
    }
  } finally {
    await broker.close();
    for (const child of [clients, upstream]) child.close();
    rmSync(premises.facts.dataDir, { recursive: true });
  }
};

const turnFigure = (name: string, turn: Awaited<ReturnType<typeof takeTurn>>): Figure => ({
  name: `p99 of ${name}, ${TURN.connections} connections`,
  value: turn.latency.p99,
  unit: 'ms',
  details: { 'p50 ms': turn.latency.p50, 'a second': turn.rate },
});

/** One export, read as fast as it comes and thrown away. */
async function exportOnce(broker: RunningSallyport, format: Format): Promise<Figure> {
  await delay(REST_MS);
  const idle = residentBytes(broker.pid);
  let most = idle;
  const look = setInterval(() => (most = Math.max(most, residentBytes(broker.pid))), LOOK_EVERY_MS);
  const begun = performance.now();
  let bytes = 0;
  try {
    const { body } = await broker.as('auditor').request('POST', '/exports', { format });
    for await (const piece of body ?? []) bytes += (piece as Uint8Array).length;
  } finally {
    clearInterval(look);
  }
  const seconds = (performance.now() - begun) / 1000;
  const held = (most - idle) / MIB;
  const asked = GOALS[format];
  return {
    name: `export as ${format}`,
    value: seconds,
    unit: 's',
    details: { 'MiB of memory over idle': held, 'MiB written': bytes / MIB },
    goal: [...(asked ? [goal(asked, seconds)] : []), `memory: ${goal('exportMiB', held)}`].join(
      '; ',
    ),
  };
}

/** Exports, one after the other, until it is told to stop. */
async function exportUntil(
  broker: RunningSallyport,
  format: Format,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    const { body } = await broker.as('auditor').request('POST', '/exports', { format });
    for await (const _ of body ?? []) if (signal.aborted) break;
  }
}
