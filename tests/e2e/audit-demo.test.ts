/** `sallyport demo audit`, as its user runs it. */
import { afterEach, expect, test } from 'vitest';
import { cleanUp, runCommand } from '../support/broker-process.ts';

afterEach(cleanUp);

test('what can be proven without trusting anyone', { timeout: 60_000 }, async () => {
  const { code, stdout, stderr } = await runCommand(['demo', 'audit']);
  // First what it tells: where it goes wrong, it says at which step.
  expect(stdout).toContain('All 15 steps are as they should be');
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
});
