/** How many streams at a pace run at a time, with no event lost and none much later than without anything in between. */
import type { Area } from '../harness.ts';
import { MOST_ADDED_GAP_MS, goal } from './goals.ts';
import { warmUp } from './load.ts';
import { TargetRounds } from './rounds.ts';
import { allAtOnce, runStreamsOn } from './streaming.ts';
import { prepareSetting } from './targets.ts';

const STEPS = [100, 500, 1_000, 2_000] as const;

const ROUNDS = 3;

/** While all of them run, and no new one begins. */
const COUNTED_MS = 1_500;

export const capacity: Area = async (report) => {
  const setting = await prepareSetting();
  const targets = [setting.direct, setting.pipe, setting.sallyport];
  let most = 0;
  try {
    await warmUp(setting, targets);
    // Streams run through other code than answers that come whole.
    for (const target of targets)
      await runStreamsOn(setting, target, allAtOnce(STEPS[0], COUNTED_MS));
    for (const lanes of STEPS) {
      const rounds = await TargetRounds.run(targets, ROUNDS, (target) =>
        runStreamsOn(setting, target, allAtOnce(lanes, COUNTED_MS)),
      );
      const added = rounds.medianOfBoth(
        'sallyport',
        'direct',
        (run, direct) => run.gap.p99 - direct.gap.p99,
      );
      const refused = rounds.median('sallyport', (run) => run.refused);
      for (const { name } of targets) {
        report({
          name: `${name}, between events of ${lanes} streams, p99`,
          value: rounds.median(name, ({ gap }) => gap.p99),
          unit: 'ms',
          details: {
            'p50 ms': rounds.median(name, ({ gap }) => gap.p50),
            'events a second': rounds.median(name, ({ gap }) => gap.count / (COUNTED_MS / 1_000)),
            refused: rounds.median(name, (run) => run.refused),
          },
        });
      }
      report({
        name: `sallyport adds to direct at ${lanes} streams, p99`,
        value: added,
        unit: 'ms',
      });
      if (refused > 0 || added >= MOST_ADDED_GAP_MS) break;
      most = lanes;
    }
  } finally {
    await setting.close();
  }
  report({
    name: `streams with no event lost and under ${MOST_ADDED_GAP_MS} ms added, p99`,
    value: most,
    unit: 'at a time',
    goal: goal('streams', most),
  });
};
