/** Runs the benchmarks and prints what they measured beside what was asked for. Of speed they assert nothing. */
import { writeFileSync } from 'node:fs';
import { arch, availableParallelism, cpus, loadavg, platform } from 'node:os';
import { inspect, parseArgs } from 'node:util';
import { printTable } from '../../src/cli/output.ts';
import { checking } from './checking.ts';
import { exportsArea } from './gateway/exports.ts';
import { appending } from './appending.ts';
import { capacity } from './gateway/capacity.ts';
import { cutting } from './gateway/cutting.ts';
import { growth } from './gateway/growth.ts';
import { memory } from './gateway/memory.ts';
import { prompts } from './gateway/prompts.ts';
import { streams } from './gateway/streams.ts';
import { throughput } from './gateway/throughput.ts';
import { transcripts } from './gateway/transcripts.ts';
import type { Area, AreaOptions, Figure } from './harness.ts';
import { issuing } from './issuing.ts';
import { orders } from './orders.ts';
import { proofs } from './proofs.ts';
import { remembering } from './remembering.ts';
import { revoking } from './revoking.ts';
import { searching } from './searching.ts';
import { verify } from './verify.ts';

const AREAS: Record<string, Area> = {
  issuing,
  checking,
  revoking,
  remembering,
  orders,
  throughput,
  prompts,
  streams,
  capacity,
  cutting,
  memory,
  transcripts,
  growth,
  proofs,
  exports: exportsArea,
  search: searching,
  verify,
  appending,
};

/** Takes minutes and gigabytes: runs when it is asked for, and has so much time. */
const LONG_AREAS: Record<string, number> = {
  growth: 1_800_000,
  proofs: 1_800_000,
  exports: 900_000,
  search: 900_000,
};

/** Runs with the others, and has more time: its rounds alone take two minutes. */
const PATIENT_AREAS: Record<string, number> = { transcripts: 400_000 };

/** Backstop of each area: its rounds end by themselves long before. */
const MOST_MS = 180_000;

interface Machine {
  node: string;
  platform: string;
  processor: string;
  cores: number;
  /** Processes that wanted one in the minute before: more than there are cores slow everything down. */
  load: number;
}

function machine(): Machine {
  return {
    node: process.version,
    platform: `${platform()} ${arch()}`,
    processor: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    load: Number(loadavg()[0]?.toFixed(2)),
  };
}

const COLUMNS = ['', '', 'ratio', '', 'goal'];

const short = (value: number): string =>
  value.toLocaleString('en-US', { maximumSignificantDigits: 3 });

function cells({ name, value, unit, ratio, details = {}, goal }: Figure): string[] {
  const held = ratio ? `${ratio.value.toFixed(2)} × ${ratio.to}` : '';
  const more = Object.entries(details).map(([what, of]) => `${what} ${short(of)}`);
  return [name, short(value), unit, held, more.join(', '), goal ?? ''];
}

async function run(
  names: readonly string[],
  areaOptions: AreaOptions,
  file: string | undefined,
): Promise<void> {
  const facts = machine();
  const figures: Record<string, Figure[]> = {};
  for (const name of names) {
    const area = AREAS[name];
    if (!area)
      throw new Error(`There is no "${name}". There are: ${Object.keys(AREAS).join(', ')}.`);
    const measured: Figure[] = [];
    figures[name] = measured;
    const most = LONG_AREAS[name] ?? PATIENT_AREAS[name] ?? MOST_MS;
    const backstop = setTimeout(
      () => fail(`"${name}" did not end within ${most / 1000} s: the machine is too busy.`),
      most,
    );
    await area((figure) => void measured.push(figure), areaOptions);
    clearTimeout(backstop);
    printTable({ out }, [name, ...COLUMNS], measured.map(cells));
    out('\n');
  }
  const { node, platform: system, processor, cores, load } = facts;
  out(
    'Figures are medians of all rounds. So are ratios, each of the two in one round, so that they are not quite the ratio of the figures.\n',
  );
  out(`Node ${node}, ${system}, ${cores} × ${processor}, load ${load} at the start\n`);
  if (file !== undefined)
    writeFileSync(file, `${JSON.stringify({ machine: facts, figures }, null, 2)}\n`);
}

const out = (text: string): void => void process.stdout.write(text);

function fail(why: string): never {
  process.stderr.write(`${why}\n`);
  process.exit(1);
}

const { values: options } = parseArgs({
  options: {
    json: { type: 'string' },
    peers: { type: 'boolean', default: false },
    growth: { type: 'boolean', default: false },
    only: { type: 'string', multiple: true },
  },
});
const names =
  options.only ?? Object.keys(AREAS).filter((name) => options.growth || !(name in LONG_AREAS));
await run(names, { peers: options.peers }, options.json).catch((error: unknown) =>
  fail(inspect(error)),
);
