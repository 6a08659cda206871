/** How fast tokens are issued: by the broker's verb in this process, and over HTTP with the clients in another. */
import { issueToken } from '../../src/broker/issue-token.ts';
import { bareSignatures } from './baselines.ts';
import { Rounds, costInLanes, costOf, type Area, type Cost } from './harness.ts';
import { LoadGenerator } from './load-generator.ts';
import { LANES, makeWorld, prepare, type World } from './world.ts';

const TOKENS = 500;
const ROUNDS = 5;

const GOAL = '1,000 a second or more';

const SIGNATURES = 'one signature checked, one made';

export const issuing: Area = async (report) => {
  const world = await makeWorld();
  const clients = new LoadGenerator();
  const signatures = await bareSignatures();
  try {
    const rounds = await Rounds.run(ROUNDS, async () => ({
      [SIGNATURES]: await costInLanes(TOKENS, LANES, async () => {
        await signatures.check();
        await signatures.make();
      }),
      'a token': await inProcess(world, false),
      'a bound token': await inProcess(world, true),
      'a token over HTTP': await overHttp(world, clients, false),
      'a bound token over HTTP': await overHttp(world, clients, true),
    }));
    report(rounds.rate(SIGNATURES));
    report(rounds.processorTime(SIGNATURES));
    for (const name of [
      'a token',
      'a bound token',
      'a token over HTTP',
      'a bound token over HTTP',
    ] as const) {
      const rate = rounds.rate(name, SIGNATURES);
      report(name === 'a token' ? { ...rate, goal: GOAL } : rate);
      report(rounds.processorTime(name, SIGNATURES));
    }
  } finally {
    clients.close();
    await world.test.close();
  }
};

async function inProcess(world: World, bound: boolean): Promise<Cost> {
  const prepared = await prepare(world, TOKENS, bound);
  return costInLanes(TOKENS, LANES, async (n) => {
    const { request, possession } = prepared[n]!;
    await issueToken(world.test.broker, request, possession);
  });
}

async function overHttp(world: World, clients: LoadGenerator, bound: boolean): Promise<Cost> {
  const prepared = await prepare(world, TOKENS, bound);
  await clients.load({
    url: world.tokenEndpoint,
    lanes: LANES,
    requests: prepared.map(({ form, proof }) => ({
      headers: {
        'content-type': 'application/x-www-form-urlencoded',
        ...(proof === undefined ? {} : { dpop: proof }),
      },
      body: form,
    })),
  });
  return costOf(TOKENS, () => clients.send());
}
