/** The half of all sequences of grants and orders that has most of one of the two, as a test of its own. */
import { expect, it } from 'vitest';
import { partAllowed, runSequences, tooSeldom, type Mix } from './access/sequences.ts';
import { makeWorld } from './access/setting.ts';

const SEQUENCES = Number(process.env['FUZZ_SEQUENCES']);
const SEED = Number(process.env['FUZZ_SEED']);

/** As long as it takes: a machine that is busy is no failure. */
const LONGEST_MS = 3_600_000;

export function fuzzSequences(mix: Mix): void {
  it(
    `property: random people on ${mix}, shown, enforced and in the log as the rules say`,
    async ({ task }) => {
      const world = await makeWorld();
      const numRuns = Math.ceil(SEQUENCES / 2);
      const outcome = await runSequences(world, { mix, numRuns, seed: SEED });
      task.meta.cases = outcome.sequences;
      task.meta.steps = outcome.commands;
      task.meta.ofInterest = partAllowed(outcome);
      expect(tooSeldom(outcome)).toEqual([]);
    },
    LONGEST_MS,
  );
}
