/** What it costs to check a presented token: one that was seen before, a new one, one that is bound to a key. */
import { hash } from 'node:crypto';
import { TokenChecker, type PresentedToken } from '../../src/broker/authenticate-token.ts';
import { bareSignatures } from './baselines.ts';
import { Rounds, costInLanes, type Area } from './harness.ts';
import { LANES, issue, makeWorld, type World } from './world.ts';

const SEEN_CHECKS = 200_000;
const NEW_TOKENS = 1_000;
const BOUND_CHECKS = 500;
const ROUNDS = 5;
const METHOD = 'POST';

const HASH = 'hashing a token';
const SIGNATURE = 'checking a signature';
const WRITE = `a durable write, ${LANES} at a time`;
const BOUND = `a bound token, ${LANES} at a time`;

export const checking: Area = async (report) => {
  const world = await makeWorld();
  const { broker } = world.test;
  const signatures = await bareSignatures();
  const url = `${world.test.url}/v1/chat/completions`;
  const asBearer = (token: string): PresentedToken => {
    return { token, scheme: 'Bearer', proofs: [], method: METHOD, url };
  };
  try {
    const tokens = (await issue(world, NEW_TOKENS, false)).map(({ token }) => asBearer(token));
    const [bound] = await issue(world, 1, true);
    const seen = tokens[0]!;
    const rounds = await Rounds.run(ROUNDS, async () => {
      // A checker of its own has seen none of them.
      const checker = new TokenChecker(broker);
      const proven = await prove(world, bound!.token, url);
      return {
        [HASH]: await costInLanes(SEEN_CHECKS, 1, async () => hashOf(seen.token)),
        [SIGNATURE]: await costInLanes(NEW_TOKENS, 1, signatures.check),
        [WRITE]: await costInLanes(BOUND_CHECKS, LANES, () =>
          broker.store.write('probe', { at: broker.clock() }),
        ),
        'a new token': await costInLanes(NEW_TOKENS, 1, (n) =>
          checker.check(tokens[n]!, 'gateway'),
        ),
        'a token seen before': await costInLanes(SEEN_CHECKS, 1, () =>
          checker.check(seen, 'gateway'),
        ),
        [BOUND]: await costInLanes(BOUND_CHECKS, LANES, (n) =>
          checker.check(proven[n]!, 'gateway'),
        ),
      };
    });
    report(rounds.processorTime(HASH));
    report({ ...rounds.processorTime('a token seen before', HASH), goal: 'under 5 µs' });
    report(rounds.processorTime(SIGNATURE));
    report({ ...rounds.processorTime('a new token', SIGNATURE), goal: 'one signature check' });
    report(rounds.processorTime(WRITE));
    report(rounds.processorTime(BOUND, WRITE));
  } finally {
    await world.test.close();
  }
};

function prove({ proofs }: World, token: string, url: string): Promise<PresentedToken[]> {
  const one = async (): Promise<PresentedToken> => {
    const proof = await proofs.prove('gateway', METHOD, new URL(url).pathname, token);
    return { token, scheme: 'DPoP', proofs: [proof], method: METHOD, url };
  };
  return Promise.all(Array.from({ length: BOUND_CHECKS }, one));
}

const hashOf = (token: string): string => hash('sha256', token, 'base64');
