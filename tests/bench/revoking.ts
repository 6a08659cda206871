/** How long ending a token takes until the call returns; and that from then on it is refused. */
import { TokenChecker } from '../../src/broker/authenticate-token.ts';
import { revokeToken } from '../../src/broker/revoke-token.ts';
import { RefusedError } from '../../src/core/denials.ts';
import { Rounds, costInLanes, type Area } from './harness.ts';
import { issue, makeWorld } from './world.ts';

const TOKENS = 50;
const ROUNDS = 5;

const WRITE = 'a durable write';

export const revoking: Area = async (report) => {
  const world = await makeWorld();
  const { test, researcher } = world;
  const { broker } = test;
  const checker = new TokenChecker(broker);
  const isGood = async (token: string): Promise<boolean> => {
    const presented = {
      token,
      scheme: 'Bearer',
      proofs: [],
      method: 'POST',
      url: test.url,
    } as const;
    try {
      await checker.check(presented, 'gateway');
      return true;
    } catch (error) {
      if (error instanceof RefusedError && error.refusal.code === 'token_revoked') return false;
      throw error;
    }
  };
  let ended = 0;
  let passed = 0;
  try {
    const rounds = await Rounds.run(ROUNDS, async () => {
      const tokens = await issue(world, TOKENS, false);
      for (const { token } of tokens)
        if (!(await isGood(token))) throw new Error('A token was refused before it was revoked.');
      return {
        [WRITE]: await costInLanes(TOKENS, 1, () =>
          broker.store.write('probe', { at: broker.clock() }),
        ),
        // Beside what a write takes, the check is nothing.
        'until a token is revoked': await costInLanes(TOKENS, 1, async (n) => {
          const { id, token } = tokens[n]!;
          await revokeToken(broker, researcher.id, id);
          ended += 1;
          if (await isGood(token)) passed += 1;
        }),
      };
    });
    report(rounds.time(WRITE));
    report(rounds.time('until a token is revoked', WRITE));
    report({ name: 'passed after that', value: passed, unit: `of ${ended}`, goal: 'none' });
    if (passed > 0) throw new Error('A token passed after it was revoked.');
  } finally {
    await test.close();
  }
};
