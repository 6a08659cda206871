/** Known failure 24: what serves once, DPoP proofs included, serves again at the edge of the skew that is accepted.
 *
 * What serves once serves once: assertions of people and of labs, and proofs of possession. To the last
 * millisecond in which they are taken, whatever is forgotten in between, and across a restart.
 */
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { setLabIdentity } from '../../src/broker/manage-lab-identity.ts';
import { ASSERTION_TYPE } from '../../src/oauth/client-assertion.ts';
import { JWT_BEARER } from '../../src/oauth/lab-assertion.ts';
import { holdVerification } from '../support/held-verification.ts';
import { makeIdentity, signLabAssertion } from '../support/lab-identities.ts';
import { makePeople, signAssertion, tokenForm, type People } from '../support/people.ts';
import { ProofKey } from '../support/proofs.ts';
import { codeOf, send, type RawAnswer } from '../support/refusals.ts';
import { SetClock } from '../support/set-clock.ts';
import { startTestBroker, type TestBroker } from '../support/test-broker.ts';

const SKEW_MS = 30_000;
const PROOF_LIFE_MS = 60_000;
const YEAR_MS = 365 * 24 * 3_600_000;

const clock = new SetClock();
const dataDir = mkdtempSync(join(tmpdir(), 'sallyport-replay-'));
const identity = makeIdentity('https://id.partner.example');
const key = new ProofKey();
let test: TestBroker;
let people: People;

const start = (port: number): Promise<TestBroker> =>
  startTestBroker({ clock: clock.read, dataDir, server: { port } });

/** At the same address, since assertions and proofs name it. */
async function restart(): Promise<void> {
  const port = Number(new URL(test.url).port);
  await test.close();
  test = await start(port);
}

/** What the broker does by itself once a minute. */
const forget = (): Promise<void> => test.broker.store.write('forgetUsed', { now: clock.now });

beforeAll(async () => {
  test = await start(0);
  people = await makePeople(test);
  const { admin, partner } = people;
  await setLabIdentity(test.broker, admin.id, partner.id, identity.input);
});
afterAll(async () => {
  await test.close();
  rmSync(dataDir, { recursive: true, force: true });
});
afterEach(() => vi.restoreAllMocks());
// What one test made is too old for the next. At a full second, since JWTs tell time by those.
beforeEach(() => {
  clock.now = Math.ceil(clock.now / 1000) * 1000 + 600_000;
});

/** Something that serves once. */
interface Statement {
  /** Makes a request with it; all else in the request is new and right. */
  use(): Promise<RawAnswer>;
  /** The last moment at which it is taken, epoch milliseconds. */
  last: number;
  /** The first at which it is refused for its age, whether it was used or not. */
  over: number;
}

/** Of what is taken until it is too old. */
const untilOver = (last: number): Pick<Statement, 'last' | 'over'> => ({ last, over: last + 1 });

interface Kind {
  name: string;
  make(): Promise<Statement>;
  /** The code of a second use, also where it may have been forgotten; and of a use that comes too late. */
  replayed: string;
  late: string;
}

const TOKEN = ['POST', '/oauth/token'] as const;
const ME = ['GET', '/api/v1/me'] as const;

const post = (form: Record<string, string>, headers = {}): Promise<RawAnswer> =>
  send(test, { path: '/oauth/token', form, headers });

async function makeClientAssertion(): Promise<Statement> {
  const assertion = await signAssertion(test, people.researcher, { exp: clock.seconds(60) });
  const form = {
    grant_type: 'client_credentials',
    client_assertion_type: ASSERTION_TYPE,
    client_assertion: assertion,
  };
  return { use: () => post(form), ...untilOver(clock.now + 60_000 + SKEW_MS) };
}

async function makeLabAssertion(): Promise<Statement> {
  const claims = { exp: clock.seconds(60) };
  const assertion = await signLabAssertion(test, identity, people.researcher.id, claims);
  const form = { grant_type: JWT_BEARER, assertion };
  // Its token ends with it at the latest, so that there is none to be had in the very last moment.
  const over = clock.now + 60_000 + SKEW_MS + 1;
  return { use: () => post(form), last: over - 2, over };
}

function makeTokenProof(): Promise<Statement> {
  const dpop = key.prove(test, TOKEN, undefined);
  const use = async (): Promise<RawAnswer> => {
    const claims = { exp: clock.seconds(300) };
    const assertion = await signAssertion(test, people.researcher, claims);
    return post(
      { ...(await tokenForm(test, people.researcher)), client_assertion: assertion },
      { dpop },
    );
  };
  return Promise.resolve({ use, ...untilOver(clock.now + PROOF_LIFE_MS + SKEW_MS) });
}

async function makeProofOfUse(): Promise<Statement> {
  const form = await tokenForm(test, people.researcher);
  const { body } = await post(form, { dpop: key.prove(test, TOKEN, undefined) });
  const token = String(body['access_token']);
  const headers = { authorization: `DPoP ${token}`, dpop: key.prove(test, ME, token) };
  const [method, path] = ME;
  return {
    use: () => send(test, { method, path, headers }),
    ...untilOver(clock.now + PROOF_LIFE_MS + SKEW_MS),
  };
}

const TOKEN_PROOF = 'a proof at the token endpoint';

const KINDS: Kind[] = [
  {
    name: 'a client assertion',
    make: makeClientAssertion,
    replayed: 'assertion_replayed',
    late: 'invalid_client',
  },
  {
    name: "a lab's assertion",
    make: makeLabAssertion,
    replayed: 'invalid_assertion',
    late: 'invalid_assertion',
  },
  {
    name: TOKEN_PROOF,
    make: makeTokenProof,
    replayed: 'invalid_dpop_proof',
    late: 'invalid_dpop_proof',
  },
  {
    name: 'a proof with a token',
    make: makeProofOfUse,
    replayed: 'invalid_dpop_proof',
    late: 'invalid_dpop_proof',
  },
];

/** What can happen between two uses. */
const MEANWHILE: [string, () => Promise<void>][] = [
  ['nothing happens', () => Promise.resolve()],
  ['what is used up is tidied', forget],
  ['the broker starts again', restart],
  ['the broker starts again and tidies', () => restart().then(forget)],
  ['the broker tidies and starts again', () => forget().then(restart)],
];

type Made = Kind & Statement;

/** One of each kind. All are too old at the same moment. */
async function makeAll(): Promise<[Made, ...Made[]]> {
  const all = await Promise.all(KINDS.map(async (kind) => ({ ...kind, ...(await kind.make()) })));
  expect(new Set(all.map(({ over }) => over)).size).toBe(1);
  return all as [Made, ...Made[]];
}

/** What comes of using each. */
async function useAll(all: Made[]): Promise<string[]> {
  const outcomes: string[] = [];
  for (const made of all) {
    const answer = await made.use();
    const wasUsed = answer.text.includes('was used before. Make') ? ', used' : '';
    const isUnknown = answer.text.includes(UNKNOWN) ? ', perhaps used' : '';
    const code = answer.status === 200 ? 'passed' : String(codeOf(answer));
    outcomes.push(`${made.name}: ${code}${wasUsed}${isUnknown}`);
  }
  return outcomes;
}
const UNKNOWN = 'Whether this was used before is not known any more';
const passedOf = (all: Kind[]): string[] => all.map(({ name }) => `${name}: passed`);
const PASSED = passedOf(KINDS);
const REPLAYED = KINDS.map(({ name, replayed }) => `${name}: ${replayed}, used`);
const FORGOTTEN = KINDS.map(({ name, replayed }) => `${name}: ${replayed}, perhaps used`);
const LATE = KINDS.map(({ name, late }) => `${name}: ${late}`);

it.each(KINDS)('of $name, one of twenty that come at once serves', async (kind) => {
  const statement = await kind.make();
  const answers = await Promise.all(Array.from({ length: 20 }, () => statement.use()));
  const passed = answers.filter((answer) => answer.status === 200);
  const others = answers.filter((answer) => answer.status !== 200);
  expect(passed).toHaveLength(1);
  expect(new Set(others.map(codeOf))).toEqual(new Set([kind.replayed]));
  expect(codeOf(await statement.use())).toBe(kind.replayed);
});

describe.each(MEANWHILE)('when %s', (_name, meanwhile) => {
  it('each serves once from its first use to its last moment', async () => {
    const all = await makeAll();
    const [{ over }] = all;
    expect(await useAll(all)).toEqual(PASSED);
    await meanwhile();
    expect(await useAll(all)).toEqual(REPLAYED);
    for (const moment of [over - 2, over - 1]) {
      clock.now = moment;
      await meanwhile();
      expect(await useAll(all)).toEqual(REPLAYED);
    }
    for (const moment of [over, over + 1]) {
      clock.now = moment;
      expect(await useAll(all)).toEqual(LATE);
      await meanwhile();
      expect(await useAll(all)).toEqual(LATE);
    }
  });

  it('each is taken in its last millisecond, once', async () => {
    const [used, unused] = [await makeAll(), await makeAll()];
    const [{ over }] = used;
    for (const moment of [over - 2, over - 1]) {
      clock.now = moment;
      await meanwhile();
      const last = used.filter((made) => made.last === moment);
      expect(await useAll(last)).toEqual(passedOf(last));
      const tooLate = unused.filter((made) => made.last < moment);
      for (const made of tooLate)
        // By the clock of the lab it is good still, but no token can come of it.
        expect(await useAll([made])).toEqual([`${made.name}: token_expired`]);
    }
    await meanwhile();
    expect(await useAll(used)).toEqual(REPLAYED);
    clock.now = over;
    await meanwhile();
    expect(await useAll(used)).toEqual(LATE);
    expect(await useAll(unused)).toEqual(LATE);
  });

  it('none serves again where the clock is set back', async () => {
    const all = await makeAll();
    const { now } = clock;
    const [{ over }] = all;
    expect(await useAll(all)).toEqual(PASSED);
    clock.now = over + 1;
    await forget();
    for (const moment of [over - 1, over - 2, now]) {
      clock.now = moment;
      await meanwhile();
      // It is young enough again.
      expect(await useAll(all)).toEqual(FORGOTTEN);
    }
    // What is good for longer than was forgotten serves at once, by the clock as it is now.
    clock.now = over - 2;
    expect(await useAll(await makeAll())).toEqual(PASSED);
  });

  it('a clock that ran a year ahead once locks nobody out', async () => {
    // A proof at the token endpoint comes with an assertion that is good for longer than itself.
    const some = (all: Made[]): Made[] => all.filter(({ name }) => name !== TOKEN_PROOF);
    const used = some(await makeAll());
    expect(await useAll(used)).toEqual(passedOf(used));
    const { now } = clock;
    clock.now += YEAR_MS;
    await forget();
    clock.now = now;
    await meanwhile();
    const perhaps = used.map(({ name, replayed }) => `${name}: ${replayed}, perhaps used`);
    expect(await useAll(used)).toEqual(perhaps);
    // JWTs tell time by seconds: these are good for one more than what was forgotten.
    clock.now += 1_000;
    expect(await useAll(await makeAll())).toEqual(PASSED);
  });
});

it.each(KINDS)('$name does not slip through while it is forgotten', async (kind) => {
  for (const late of [0, 1, 2, 1_000]) {
    const statement = await kind.make();
    expect((await statement.use()).status).toBe(200);
    // Found young enough in its last moment, and looked for among what was used only later.
    clock.now = statement.last;
    let again: Promise<RawAnswer> | undefined;
    const letGo = await holdVerification(() => {
      again = statement.use();
    });
    clock.now += late;
    await forget();
    letGo();
    expect((await again)?.status).not.toBe(200);
    clock.now = Math.ceil(clock.now / 1000) * 1000 + 600_000;
  }
});

describe('the names of what was used', () => {
  it('belong to whoever used them: nobody uses them up for others', async () => {
    const jti = randomUUID();
    const { researcher, lead } = people;
    for (const who of [researcher, lead]) {
      const form = {
        grant_type: 'client_credentials',
        client_assertion_type: ASSERTION_TYPE,
        client_assertion: await signAssertion(test, who, { jti }),
      };
      expect((await post(form)).status).toBe(200);
    }
    const said = await signLabAssertion(test, identity, researcher.id, { jti });
    expect((await post({ grant_type: JWT_BEARER, assertion: said })).status).toBe(200);
    for (const by of [key, new ProofKey()]) {
      const dpop = by.prove(test, TOKEN, undefined, { claims: { jti } });
      expect((await post(await tokenForm(test, researcher), { dpop })).status).toBe(200);
    }
  });

  it('count in one place: a proof that was used with a token is used for a new one, too', async () => {
    const jti = randomUUID();
    const dpop = key.prove(test, TOKEN, undefined, { claims: { jti } });
    const form = await tokenForm(test, people.researcher);
    const token = String((await post(form, { dpop })).body['access_token']);
    const again = key.prove(test, ME, token, { claims: { jti } });
    const [method, path] = ME;
    const headers = { authorization: `DPoP ${token}`, dpop: again };
    expect(codeOf(await send(test, { method, path, headers }))).toBe('invalid_dpop_proof');
  });
});
