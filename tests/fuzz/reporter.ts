/** Says how many cases were looked at, and with which seed. */
import type { Reporter, TestModule } from 'vitest/node';

declare module 'vitest' {
  interface TaskMeta {
    /** Cases that a property was held against. */
    cases?: number;
    /** The part of these that got as far as the property is about. */
    ofInterest?: number;
    /** Where a case is a sequence: the steps of all of them. */
    steps?: number;
  }
}

export class FuzzReporter implements Reporter {
  readonly #seed: string;

  constructor(seed: string) {
    this.#seed = seed;
  }

  onTestRunEnd(modules: readonly TestModule[]): void {
    let total = 0;
    for (const module of modules) {
      for (const test of module.children.allTests()) {
        const { cases = 0, ofInterest = 0, steps } = test.meta();
        total += cases;
        const share = `${(ofInterest * 100).toFixed(0)} %`;
        process.stdout.write(
          `${String(cases).padStart(9)} ${share.padStart(6)}  ${test.fullName}${steps === undefined ? '' : ` (${steps} steps)`}\n`,
        );
      }
    }
    process.stdout.write(
      `${String(total).padStart(9)} cases in all (and how many got as far as the property is about); FUZZ_SEED=${this.#seed} repeats them\n`,
    );
  }
}
