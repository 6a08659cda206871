/** A property as a test of its own, with its share of all cases. */
import { setImmediate as tick } from 'node:timers/promises';
import * as fc from 'fast-check';
import { expect, it } from 'vitest';

const CASES = Number(process.env['FUZZ_CASES']);
const SEED = Number(process.env['FUZZ_SEED']);

/** The runner hears of a worker now and then. */
const REST_AFTER = 200;

interface Share {
  /** Of all cases; those of all properties add up to one, more or less. */
  of: number;
  /** Where one run looks at several cases. */
  casesPerRun?: number;
}

/**
 * Holds a predicate against its share of the cases. It throws where it does not hold; the smallest counterexample
 * that was found is told.
 *
 * @param predicate may say whether the case was one of interest; where none is, nothing was proven
 */
export function fuzz<T>(
  name: string,
  { of, casesPerRun = 1 }: Share,
  arbitrary: fc.Arbitrary<T>,
  predicate: (value: T) => boolean | void | Promise<boolean | void>,
): void {
  it(`property: ${name}`, async ({ task }) => {
    let runs = 0;
    let ofInterest = 0;
    const property = fc.asyncProperty(arbitrary, async (value) => {
      runs += 1;
      if (runs % REST_AFTER === 0) await tick();
      if ((await predicate(value)) !== false) ofInterest += 1;
    });
    const numRuns = Math.max(1, Math.ceil((CASES * of) / casesPerRun));
    const details = await fc.check(property, { numRuns, seed: SEED });
    task.meta.cases = details.numRuns * casesPerRun;
    if (details.failed)
      throw new Error(await fc.asyncDefaultReportMessage(details), {
        cause: details.errorInstance,
      });
    expect(ofInterest, 'cases of interest').toBeGreaterThan(0);
    task.meta.ofInterest = ofInterest / runs;
  });
}
