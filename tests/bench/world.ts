/** What the benchmarks of tokens work on: a broker, a grant, and clients whose requests are ready before the clock starts. */
import { issueToken, type IssuedToken } from '../../src/broker/issue-token.ts';
import type { Possession } from '../../src/broker/prove-possession.ts';
import { DpopProofs } from '../../src/cli/connect/dpop.ts';
import {
  parseTokenRequest,
  type ModelAccess,
  type TokenRequest,
} from '../../src/oauth/token-request.ts';
import { makeActiveGrant } from '../support/grants.ts';
import { makePeople, tokenForm, type TestPerson } from '../support/people.ts';
import { startTestBroker, type TestBroker } from '../support/test-broker.ts';
import { callInLanes } from './harness.ts';

/** Calls under way at a time, where many are. */
export const LANES = 64;

/** All of them are one person's. */
const MOST_TOKENS = 1_000_000;

export interface World {
  test: TestBroker;
  researcher: TestPerson;
  access: Omit<ModelAccess, 'type'>;
  /** Makes proofs of possession by one key. */
  proofs: DpopProofs;
  tokenEndpoint: string;
}

/** A request for a token, as a client sends it and as the broker reads it. */
export interface Prepared {
  form: string;
  /** The DPoP header. */
  proof: string | undefined;
  request: TokenRequest;
  possession: Possession;
}

export async function makeWorld(): Promise<World> {
  const test = await startTestBroker({ tokens: { livePerPerson: MOST_TOKENS } });
  const people = await makePeople(test);
  const grant = await makeActiveGrant(test, people);
  const { broker, url } = test;
  const proofs = new DpopProofs(url, broker.clock);
  proofs.heard('gateway', broker.nonces.current(broker.clock()));
  return {
    test,
    researcher: people.researcher,
    access: { grant: grant.id, purpose: 'sycophancy', run: 'bench' },
    proofs,
    tokenEndpoint: `${url}/oauth/token`,
  };
}

/** Signs requests for tokens: each with an assertion and, for a bound token, a proof of its own. */
export function prepare(world: World, count: number, bound: boolean): Promise<Prepared[]> {
  const { test, researcher, access, proofs, tokenEndpoint: url } = world;
  const one = async (): Promise<Prepared> => {
    const form = new URLSearchParams(await tokenForm(test, researcher, access));
    const proof = bound
      ? await proofs.prove('token endpoint', 'POST', new URL(url).pathname)
      : undefined;
    return {
      form: form.toString(),
      proof,
      request: parseTokenRequest(form),
      possession: { proofs: proof === undefined ? [] : [proof], method: 'POST', url },
    };
  };
  return Promise.all(Array.from({ length: count }, one));
}

/** Tokens that were just issued. */
export async function issue(world: World, count: number, bound: boolean): Promise<IssuedToken[]> {
  const prepared = await prepare(world, count, bound);
  const issued: IssuedToken[] = [];
  await callInLanes(count, LANES, async (n) => {
    const { request, possession } = prepared[n]!;
    issued.push(await issueToken(world.test.broker, request, possession));
  });
  return issued;
}
