/** Runs the benchmarks and prints what they measured beside what was asked for. Of speed they assert nothing. */
import { writeFileSync } from 'node:fs';
import { arch, availableParallelism, cpus, loadavg, platform } from 'node:os';
import { parseArgs } from 'node:util';
import { printTable } from '../../src/cli/output.ts';
import { checking } from './checking.ts';
import type { Area, Figure } from './harness.ts';
import { issuing } from './issuing.ts';
import { remembering } from './remembering.ts';
import { revoking } from './revoking.ts';

const AREAS: Record<string, Area> = { issuing, checking, revoking, remembering };

/** Backstop: the rounds of each area end by themselves long before. */
const MOST_MS = 120_000;

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

function cells({ name, value, unit, ratio, goal }: Figure): string[] {
  const figure = value.toLocaleString('en-US', { maximumSignificantDigits: 3 });
  const held = ratio ? `${ratio.value.toFixed(2)} × ${ratio.to}` : '';
  return [name, figure, unit, held, goal ?? ''];
}

async function run(names: readonly string[], file: string | undefined): Promise<void> {
  const facts = machine();
  const figures: Record<string, Figure[]> = {};
  for (const name of names) {
    const area = AREAS[name];
    if (!area)
      throw new Error(`There is no "${name}". There are: ${Object.keys(AREAS).join(', ')}.`);
    const measured: Figure[] = [];
    figures[name] = measured;
    await area((figure) => void measured.push(figure));
    printTable({ out }, [name, '', '', 'ratio', 'goal'], measured.map(cells));
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
    only: { type: 'string', multiple: true, default: Object.keys(AREAS) },
  },
});
setTimeout(
  () => fail(`It did not end within ${MOST_MS / 1000} s: the machine is too busy.`),
  MOST_MS,
).unref();
await run(options.only, options.json).catch((error: unknown) =>
  fail(error instanceof Error ? (error.stack ?? error.message) : String(error)),
);
