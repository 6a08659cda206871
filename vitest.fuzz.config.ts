/**
 * `npm run fuzz`: properties on many more cases than `npm test` has time for. FUZZ_CASES, FUZZ_SEQUENCES (of grants and
 * orders) and FUZZ_SEED change them.
 */
import { randomInt } from 'node:crypto';
import { defineConfig } from 'vitest/config';
import { FuzzReporter } from './tests/fuzz/reporter.ts';

const {
  FUZZ_CASES = '120000',
  FUZZ_SEQUENCES = '10000',
  FUZZ_SEED = String(randomInt(2 ** 31)),
} = process.env;

export default defineConfig({
  test: {
    include: ['tests/fuzz/**/*.fuzz.ts'],
    env: { FUZZ_CASES, FUZZ_SEQUENCES, FUZZ_SEED },
    reporters: ['default', new FuzzReporter(FUZZ_SEED)],
    testTimeout: 300_000,
    hookTimeout: 30_000,
    pool: 'forks',
    maxWorkers: 2,
  },
});
