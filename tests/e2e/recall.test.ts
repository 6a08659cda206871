/** `sallyport demo recall`, as its user runs it. */
import { afterEach, expect, test } from 'vitest';
import { cleanUp, runCommand } from '../support/broker-process.ts';

afterEach(cleanUp);

test('a narrow order, an objection, and the way back', { timeout: 60_000 }, async () => {
  const { code, stdout } = await runCommand(['demo', 'recall']);
  expect(stdout).toContain('All 10 steps are as they should be');
  expect(code).toBe(0);
});
