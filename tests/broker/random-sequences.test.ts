/**
 * Random people try random things on grants and orders: what passes is what a model allows that knows the rules and not the
 * code, what is shown is what is enforced, what was previewed is what is stopped, and the log alone tells the state.
 * `npm run fuzz` does it with thousands of other sequences, and
 * looks that each command was allowed often enough.
 */
import { expect, it } from 'vitest';
import { partAllowed, runSequences } from '../fuzz/access/sequences.ts';
import { makeWorld } from '../fuzz/access/setting.ts';

const world = await makeWorld();

it.each([
  ['grants', 4],
  ['orders', 5],
] as const)('sequences with most of %s', { timeout: 180_000 }, async (mix, seed) => {
  const outcome = await runSequences(world, { mix, numRuns: 100, seed });
  expect(outcome.sequences).toBe(100);
  expect(outcome.commands).toBeGreaterThan(1_500);
  // Where everything is refused, nothing is proven.
  expect(partAllowed(outcome)).toBeGreaterThan(0.5);
  expect(outcome.decisions.allowed).toBeGreaterThan(1_000);
});
