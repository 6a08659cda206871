/** Verifies a bundle in a process of its own, and says what that took. */
import { verifyBundle } from '../../src/audit/verify-bundle.ts';
import type { Took } from './verify.ts';

const [, , file = '', verifierKey = ''] = process.argv;
const started = performance.now();
const before = process.cpuUsage();
const { status } = await verifyBundle(file, verifierKey);
const { user, system } = process.cpuUsage(before);
const took: Took = {
  status,
  ms: performance.now() - started,
  processorMs: (user + system) / 1000,
  mostMegabytes: process.resourceUsage().maxRSS / 1024,
};
process.send?.(took);
