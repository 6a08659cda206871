/** Two brokers, each the other's partner: each vouches for its own researchers, and believes the other of its. */
import { createServer, type AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { createPerson } from '../../src/broker/manage-people.ts';
import { advanceSigningKeys } from '../../src/broker/manage-signing-keys.ts';
import type { Grant } from '../../src/core/grants.ts';
import { Api } from '../support/api.ts';
import { exchange, tokenFor, type TokenAnswer } from '../support/lab-identities.ts';
import { makeKey, makePerson, type TestPerson } from '../support/people.ts';
import {
  HELLO,
  codeOf,
  drain,
  errorOf,
  sdks,
  startRunningBroker,
  type RunningBroker,
} from '../support/running-broker.ts';
import { hold, openaiStream } from '../support/scripted-upstream.ts';

/** How long after the acknowledgement a stream of somebody whose lab is believed no more may go on. */
const BITE_MS = 250;

const PURPOSE = 'hallucination';

interface Side {
  running: RunningBroker;
  /** Of the host lab: works at the other broker. */
  researcher: TestPerson;
  /** The other side's researcher, as this broker knows them. */
  guestId: string;
  /** For the guest. */
  grant: Grant;
}

let offsetMs = 0;
let a: Side;
let b: Side;

beforeAll(async () => {
  const [portA, portB] = [await freePort(), await freePort()];
  const [brokerA, brokerB] = await Promise.all([start(portA, portB), start(portB, portA)]);
  const [researcherA, researcherB] = [await hire(brokerA), await hire(brokerB)];
  a = {
    running: brokerA,
    researcher: researcherA,
    ...(await welcome(brokerA, brokerB, researcherB)),
  };
  b = {
    running: brokerB,
    researcher: researcherB,
    ...(await welcome(brokerB, brokerA, researcherA)),
  };
  await accept(a, b);
  await accept(b, a);
}, 60_000);
afterEach(() => {
  for (const { running } of [a, b]) running.checkUpstream();
});
afterAll(() => Promise.all([a.running.close(), b.running.close()]));

/** A broker whose partner is at another port of this machine. */
function start(port: number, otherPort: number): Promise<RunningBroker> {
  return startRunningBroker({
    server: { port },
    federation: {
      allowInsecureLoopback: true,
      audiences: [{ issuer: `http://127.0.0.1:${otherPort}` }],
    },
    clock: () => Date.now() + offsetMs,
  });
}

function hire({ test: { broker }, people }: RunningBroker): Promise<TestPerson> {
  return makePerson(broker, people.admin.id, people.host.id, 'Fay Federated', ['researcher']);
}

/** Registers the other side's identity and researcher, and grants them access. */
async function welcome(
  here: RunningBroker,
  there: RunningBroker,
  theirs: TestPerson,
): Promise<Pick<Side, 'guestId' | 'grant'>> {
  const { api, people } = here;
  await believe(here, there);
  const guest = await api.post(people.admin, '/people', {
    lab: people.partner.id,
    name: theirs.name,
    roles: ['researcher'],
    subject: theirs.id,
  });
  expect(guest.status).toBe(201);
  const guestId = (guest.body as { id: string }).id;
  const roster = [people.lead.id, guestId].map((person) => ({ person }));
  return { guestId, grant: await here.grant({ people: roster }, []) };
}

async function believe(here: RunningBroker, there: RunningBroker): Promise<void> {
  const { people } = here;
  const set = await apiOf(here).call(people.admin, 'put', `/labs/${people.partner.id}/identity`, {
    issuer: there.url,
    jwksUrl: `${there.url}/oauth/jwks`,
  });
  expect(set.status).toBe(200);
}

/** With tokens of its own: the clock of these tests leaps. */
const apiOf = (running: RunningBroker): Api => new Api(running.test);

/** What the broker of their own lab says of the other side's researcher. */
async function assertionFrom(home: Side, audience: string): Promise<string> {
  const answer = await apiOf(home.running).post(home.researcher, '/assertions', { audience });
  expect(answer.status).toBe(201);
  return (answer.body as { assertion: string }).assertion;
}

/** A token at `host` for the researcher of `home`; of the gateway, or of the control API. */
async function guestToken(host: Side, home: Side, run?: string): Promise<string> {
  const access = run === undefined ? undefined : { grant: host.grant.id, purpose: PURPOSE, run };
  const assertion = await assertionFrom(home, host.running.url);
  return tokenFor(host.running.test, assertion, access as Parameters<typeof tokenFor>[2]);
}

/** The guest accepts the terms of their grant themselves. */
async function accept(host: Side, home: Side): Promise<void> {
  const answer = await fetch(`${host.running.url}/api/v1/grants/${host.grant.id}/accept`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${await guestToken(host, home)}`,
      'content-type': 'application/json',
    },
    body: JSON.stringify({ termsDigest: host.grant.termsDigest }),
  });
  expect(answer.status).toBe(200);
}

describe('two brokers, each the other’s partner', () => {
  test.each([
    ['A at B', () => [b, a] as const],
    ['B at A', () => [a, b] as const],
  ])('a researcher of %s calls the model with an unmodified SDK', async (_name, sides) => {
    const [host, home] = sides();
    const { openai } = sdks(host.running.url, await guestToken(host, home, 'first'));
    const answer = await openai.chat.completions.create(HELLO);
    expect(answer.choices).toHaveLength(1);
    host.running.upstream.respond(openaiStream());
    const stream = await openai.chat.completions.create({ ...HELLO, stream: true });
    expect(await drain(stream)).not.toHaveLength(0);
    // Each log tells its own side, and the jti ties them together.
    const [vouched] = home.running.entries({ kind: 'assertion.issued' }).slice(-1);
    expect(vouched).toMatchObject({ person: home.researcher.id });
    const [issued] = host.running.entries({ kind: 'token.issued' }).slice(-1);
    const tie = { vouchedBy: 'lab', assertion: vouched?.ref };
    expect(issued).toMatchObject({ person: host.guestId, data: tie });
    expect(host.running.entries({ kind: 'request.intent' }).at(-1)).toMatchObject({
      person: host.guestId,
    });
  });

  test('an assertion serves once, at the broker that it is addressed to', async () => {
    const assertion = await assertionFrom(a, b.running.url);
    await tokenFor(b.running.test, assertion);
    const wrong = (answer: TokenAnswer): unknown => [answer.status, answer.body.error];
    expect(wrong(await exchange(b.running.test, assertion))).toEqual([400, 'invalid_grant']);
    const another = await assertionFrom(a, b.running.url);
    expect(wrong(await exchange(a.running.test, another))).toEqual([400, 'invalid_grant']);
  });

  test('a lab is believed of its own people only', async () => {
    const key = makeKey();
    const person = { name: 'Same Name', roles: ['researcher' as const], subject: 'same.name' };
    const inA = await createPerson(
      a.running.test.broker,
      a.running.people.admin.id,
      a.running.people.host.id,
      { ...person, attributes: {}, publicKey: key.publicKey },
    );
    const namesake = { ...a.researcher, ...key, id: inA.id, kid: inA.keys[0]?.kid ?? '' };
    const { api, people } = b.running;
    const add = async (lab: string): Promise<string> => {
      const added = await api.post(people.admin, '/people', {
        ...person,
        lab,
        publicKey: makeKey().publicKey,
      });
      return (added.body as { id: string }).id;
    };
    await add(people.otherPartner.id);
    const home = { ...a, researcher: namesake };
    const posing = await exchange(b.running.test, await assertionFrom(home, b.running.url));
    expect([posing.status, posing.body.error]).toEqual([400, 'invalid_grant']);
    const id = await add(people.partner.id);
    await guestToken(b, home);
    expect(b.running.entries({ kind: 'token.issued' }).at(-1)).toMatchObject({ person: id });
  });

  test('a new key of A is known to B before it signs, and one that signs at once a minute later', async () => {
    const { people, test: broker } = a.running;
    const kidAtB = (): unknown => b.running.entries({ kind: 'token.issued' }).at(-1)?.data?.['kid'];
    const first = broker.broker.signingKeys.active.kid;
    await guestToken(b, a);
    expect(kidAtB()).toBe(first);

    expect((await apiOf(a.running).post(people.admin, '/keys/rotate')).status).toBe(200);
    await guestToken(b, a);
    expect(kidAtB()).toBe(first);
    offsetMs += 600_000;
    await advanceSigningKeys(broker.broker);
    const second = broker.broker.signingKeys.active.kid;
    expect(second).not.toBe(first);
    await guestToken(b, a);
    expect(kidAtB()).toBe(second);

    expect((await apiOf(a.running).post(people.admin, '/keys/rotate', { now: true })).status).toBe(
      200,
    );
    const third = broker.broker.signingKeys.active.kid;
    const tooSoon = await exchange(b.running.test, await assertionFrom(a, b.running.url));
    expect(tooSoon.body.error).toBe('invalid_grant');
    offsetMs += 60_000;
    await guestToken(b, a);
    expect(kidAtB()).toBe(third);
  });

  test('access ends with the identity, live streams included', async () => {
    const { people, upstream } = b.running;
    const token = await guestToken(b, a, 'cut');
    const { openai } = sdks(b.running.url, token);
    const own = await b.running.access();
    upstream.respond(hold());
    const stream = await openai.chat.completions.create({ ...HELLO, stream: true });
    const ended = (async () => {
      const error = await errorOf(drain(stream));
      return { code: codeOf(error), at: performance.now() };
    })();
    const path = `/labs/${people.partner.id}/identity/remove`;
    const removed = await apiOf(b.running).post(people.safety, path);
    const acknowledgedAt = performance.now();
    expect(removed.status).toBe(200);
    const { code, at } = await ended;
    expect(code).toBe('token_revoked');
    expect(at - acknowledgedAt).toBeLessThan(BITE_MS);

    upstream.respond(openaiStream());
    expect(codeOf(await errorOf(openai.chat.completions.create(HELLO)))).toBe('token_revoked');
    const assertion = await assertionFrom(a, b.running.url);
    expect((await exchange(b.running.test, assertion)).body.error).toBe('invalid_grant');
    // Who has a key of their own there goes on.
    const other = await own.openai.chat.completions.create({ ...HELLO, stream: true });
    expect(await drain(other)).not.toHaveLength(0);
    // What was signed before does not count when the lab is registered anew.
    await believe(b.running, a.running);
    await guestToken(b, a, 'again');
    expect(codeOf(await errorOf(openai.chat.completions.create(HELLO)))).toBe('token_revoked');
  });

  test('nothing that was signed for a token stands in either log', () => {
    for (const { running } of [a, b])
      for (const entry of running.entries())
        expect(JSON.stringify(entry)).not.toMatch(/eyJ[\w-]+\./);
  });
});

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}
