import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';

const CORE = join(import.meta.dirname, '..', '..', 'src', 'core');

/** What reads a clock, makes something random, or reaches outside. Which packages core imports, depcruise checks. */
const IMPURE = [
  /\bDate\.now\b/,
  /\bnew Date\(\s*\)/,
  /\bperformance\b/,
  /\bMath\.random\b/,
  /\b(?:randomBytes|randomUUID|randomInt|getRandomValues|generateKeyPair\w*)\b/,
  /(?<!\.)\bprocess\./,
  /\bglobalThis\b/,
  /\bset(?:Timeout|Interval|Immediate)\b/,
  /\bfetch\(/,
  /\bconsole\b/,
  /\bimport\(/,
  /\bawait\b/,
];

const files = readdirSync(CORE, { recursive: true, encoding: 'utf8' }).filter((name) =>
  name.endsWith('.ts'),
);

const withoutComments = (source: string): string =>
  source.replaceAll(/\/\*[\s\S]*?\*\//g, '').replaceAll(/(^|\s)\/\/.*$/gm, '');

describe('invariant 10: the core is pure', () => {
  test('there is a core to look at', () => {
    expect(files.length).toBeGreaterThan(20);
  });

  test.each(files)('%s reads no clock, nothing random, and nothing from outside', (name) => {
    const source = withoutComments(readFileSync(join(CORE, name), 'utf8'));
    expect(IMPURE.filter((pattern) => pattern.test(source))).toEqual([]);
  });
});
