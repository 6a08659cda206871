/** Streams at a pace: what the first byte waits for, and how evenly events come. */
import type { Area } from '../harness.ts';
import { CHUNK_EVERY_MS, STREAM_CHUNKS } from './chat.ts';
import { goal } from './goals.ts';
import { warmUp } from './load.ts';
import { TargetRounds } from './rounds.ts';
import type { StreamsRun } from './run-streams.ts';
import { runStreamsOn } from './streaming.ts';
import { prepareSetting } from './targets.ts';

const ROUNDS = 3;

/** So many at a time that there are enough to tell a p99, so few that nothing waits for a processor. */
const LANES = 32;

const TURN = {
  chunks: STREAM_CHUNKS,
  lanes: LANES,
  streamsEach: 2,
  // Out of step: the events of all of them are spread over the pace, not one burst that everything waits behind.
  rampMs: (STREAM_CHUNKS + 1) * CHUNK_EVERY_MS,
  countFromMs: 0,
  countUntilMs: Infinity,
};

export const streams: Area = async (report, { peers }) => {
  const setting = await prepareSetting({ peers });
  try {
    await warmUp(setting, setting.targets);
    const rounds = await TargetRounds.run(setting.targets, ROUNDS, async (target) => {
      const run = await runStreamsOn(setting, target, TURN);
      if (run.refused > 0) throw new Error(`${target.name} refused a stream: ${run.refusal}`);
      return run;
    });
    for (const { name } of setting.targets) {
      for (const what of ['firstByte', 'gap'] as const) {
        report({
          name: `${name}, ${what === 'gap' ? 'between events' : 'first byte'}`,
          value: rounds.median(name, (run) => run[what].p50),
          unit: 'ms',
          details: { 'p99 ms': rounds.median(name, (run) => run[what].p99) },
        });
      }
    }
    const added = (to: string, figure: (run: StreamsRun) => number): number =>
      rounds.medianOfBoth('sallyport', to, (run, other) => figure(run) - figure(other));
    for (const to of ['pipe', 'direct']) {
      const value = added(to, ({ firstByte }) => firstByte.p50);
      report({
        name: `sallyport adds to ${to}, first byte`,
        value,
        unit: 'ms',
        details: { 'p99 ms': added(to, ({ firstByte }) => firstByte.p99) },
        goal: goal('addedFirstByteMsP50', value),
      });
      report({
        name: `sallyport adds to ${to}, between events`,
        value: added(to, ({ gap }) => gap.p50),
        unit: 'ms',
        details: { 'p99 ms': added(to, ({ gap }) => gap.p99) },
      });
    }
  } finally {
    await setting.close();
  }
};
