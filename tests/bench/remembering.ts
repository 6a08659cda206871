/** What a token takes of this process' memory until it expires: known to the policy, and seen by the gateway. */
import { TokenChecker } from '../../src/broker/authenticate-token.ts';
import type { Area } from './harness.ts';
import { issue, makeWorld } from './world.ts';

const TOKENS = 3_000;

const TEXT = "a token's text";

export const remembering: Area = async (report) => {
  const world = await makeWorld();
  const { broker, url } = world.test;
  const checker = new TokenChecker(broker);
  const issueSome = async (): Promise<string[]> => {
    const issued = await issue(world, TOKENS, false);
    // A copy, of nothing but itself: texts that were put together keep their parts.
    return issued.map(({ token }) => Buffer.from(token).toString());
  };
  const checkAll = async (tokens: string[]): Promise<void> => {
    for (const token of tokens)
      await checker.check({ token, scheme: 'Bearer', proofs: [], method: 'POST', url }, 'gateway');
  };
  try {
    // What is made once, and not for each token, is made here.
    await checkAll(await issueSome());
    const before = heapInUse();
    const tokens = await issueSome();
    const issued = heapInUse();
    await checkAll(tokens);
    const checked = heapInUse();
    const text = tokens.join('').length;
    const row = (name: string, bytes: number): void =>
      report({
        name,
        value: bytes / TOKENS,
        unit: 'bytes',
        ratio: { value: bytes / text, to: TEXT },
      });
    report({ name: TEXT, value: text / TOKENS, unit: 'bytes' });
    row('known to the policy', issued - before - text);
    row('seen by the gateway, too', checked - issued);
  } finally {
    await world.test.close();
  }
};

function heapInUse(): number {
  if (!globalThis.gc) throw new Error('Start Node with --expose-gc.');
  globalThis.gc();
  return process.memoryUsage().heapUsed;
}
