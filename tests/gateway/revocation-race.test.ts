/** Ends of access that come while a token is being checked or issued: whoever comes first, nothing passes after them. */
import { randomUUID } from 'node:crypto';
import { setImmediate as tick } from 'node:timers/promises';
import { decodeJwt, decodeProtectedHeader } from 'jose';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { TokenChecker, type PresentedToken } from '../../src/broker/authenticate-token.ts';
import { endRun, handBackAccess } from '../../src/broker/end-access.ts';
import { issueToken } from '../../src/broker/issue-token.ts';
import { removeLabIdentity, setLabIdentity } from '../../src/broker/manage-lab-identity.ts';
import { issueOrder, liftOrder } from '../../src/broker/issue-order.ts';
import { stepGrant } from '../../src/broker/manage-grants.ts';
import { removePerson, removePersonKey } from '../../src/broker/manage-people.ts';
import { retireSigningKey } from '../../src/broker/manage-signing-keys.ts';
import { revokeToken } from '../../src/broker/revoke-token.ts';
import { RefusedError } from '../../src/core/denials.ts';
import type { Grant } from '../../src/core/grants.ts';
import { orderSpecSchema } from '../../src/core/orders/order.ts';
import type { TokenRequest } from '../../src/oauth/token-request.ts';
import { makeActiveGrant } from '../support/grants.ts';
import { holdVerification } from '../support/held-verification.ts';
import { makeIdentity, signLabAssertion } from '../support/lab-identities.ts';
import {
  getToken,
  makePeople,
  makePerson,
  signAssertion,
  type People,
  type TestPerson,
} from '../support/people.ts';
import { ProofKey } from '../support/proofs.ts';
import { entriesSince, send } from '../support/refusals.ts';
import { startTestBroker, type TestBroker } from '../support/test-broker.ts';

let test: TestBroker;
let people: People;
const identity = makeIdentity('https://id.partner.example');

beforeAll(async () => {
  test = await startTestBroker();
  people = await makePeople(test);
});
afterAll(() => test.close());
afterEach(() => vi.restoreAllMocks());

const idOf = (token: string): string => String(decodeJwt(token).jti);
const presented = (token: string): PresentedToken => ({
  token,
  scheme: 'Bearer',
  proofs: [],
  method: 'GET',
  url: `${test.url}/api/v1/me`,
});

/** What came of it: a refusal's code, or that it passed. */
async function outcomeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return 'passed';
  } catch (error) {
    if (error instanceof RefusedError) return error.refusal.code;
    throw error;
  }
}

describe('known failure 9: a check that fills the cache', () => {
  it.each<[string, (token: string) => Promise<unknown>, string]>([
    [
      'is overtaken by a revocation',
      (token) => revokeToken(test.broker, people.lead.id, idOf(token)),
      'token_revoked',
    ],
    [
      'is overtaken by the retirement of the key that signed it',
      () =>
        retireSigningKey(
          test.broker,
          people.admin.id,
          test.broker.signingKeys.active.kid,
          'Leaked',
        ),
      'invalid_token',
    ],
  ])('%s', async (_name, end, code) => {
    const token = await getToken(test, people.researcher);
    const checker = new TokenChecker(test.broker);
    let checked: Promise<string> | undefined;
    const letGo = await holdVerification(() => {
      checked = outcomeOf(checker.check(presented(token), 'control'));
    });
    await end(token);
    letGo();
    expect(await checked).toBe(code);
    // What the check has put into the cache since does not bring it back.
    expect(await outcomeOf(checker.check(presented(token), 'control'))).toBe(code);
    expect(await outcomeOf(new TokenChecker(test.broker).check(presented(token), 'control'))).toBe(
      code,
    );
  });

  it('passes before the revocation is answered, or not at all, however the two fall together', async () => {
    for (let round = 0; round < 40; round += 1) {
      const token = await getToken(test, people.researcher);
      const checker = new TokenChecker(test.broker);
      const seen: string[] = [];
      const check = async (): Promise<void> => {
        seen.push(await outcomeOf(checker.check(presented(token), 'control')));
      };
      const checks: Promise<void>[] = [];
      for (let i = 0; i < round % 5; i += 1) checks.push(check());
      for (let i = 0; i < round % 7; i += 1) await tick();
      const revoked = revokeToken(test.broker, people.researcher.id, idOf(token)).then(() =>
        seen.push('revoked'),
      );
      for (let i = 0; i < 20; i += 1) {
        checks.push(check());
        if (i % 3 === round % 3) await tick();
      }
      await Promise.all([revoked, ...checks]);
      await check();
      const after = seen.slice(seen.indexOf('revoked') + 1);
      expect(new Set(after)).toEqual(new Set(['token_revoked']));
    }
  });

  it('of a bound token, too, while its proof is being recorded', async () => {
    const key = new ProofKey();
    const url = '/api/v1/me';
    for (let round = 0; round < 20; round += 1) {
      const dpop = key.prove(test, ['POST', '/oauth/token'], undefined);
      const { token, id } = await issueToken(test.broker, await requestOf(people.researcher), {
        proofs: [dpop],
        method: 'POST',
        url: `${test.url}/oauth/token`,
      });
      const checker = new TokenChecker(test.broker);
      const seen: string[] = [];
      const check = async (): Promise<void> => {
        const proofs = [key.prove(test, ['GET', url], token)];
        const asked = { ...presented(token), scheme: 'DPoP' as const, proofs };
        seen.push(await outcomeOf(checker.check(asked, 'control')));
      };
      const checks = [check(), check()];
      for (let i = 0; i < round % 6; i += 1) await tick();
      checks.push(check());
      const revoked = revokeToken(test.broker, people.researcher.id, id).then(() =>
        seen.push('revoked'),
      );
      checks.push(check());
      await Promise.all([revoked, ...checks]);
      await check();
      const after = seen.slice(seen.indexOf('revoked') + 1);
      expect(new Set(after)).toEqual(new Set(['token_revoked']));
    }
  });
});

async function requestOf(person: TestPerson, grant?: Grant): Promise<TokenRequest> {
  return {
    clientAssertion: await signAssertion(test, person),
    labAssertion: undefined,
    clientId: undefined,
    resource: undefined,
    access: grant && accessTo(grant),
  };
}

const accessTo = (grant: Grant) =>
  ({ type: 'model_access', grant: grant.id, purpose: 'scheming', run: 'a run' }) as const;

interface Scene {
  person: TestPerson;
  grant: Grant;
  runId: string;
}

/** Ways to end what somebody has. An order is lifted after it was seen to work. */
const ENDS: [string, (scene: Scene) => Promise<(() => Promise<unknown>) | void>][] = [
  [
    'the grant is revoked',
    async ({ grant }) => {
      await stepGrant(test.broker, people.safety.id, grant.id, 'revoke', { grounds: 'Over' });
    },
  ],
  [
    'the grant is closed',
    async ({ grant }) => {
      await stepGrant(test.broker, people.lead.id, grant.id, 'close', { comment: 'Done' });
    },
  ],
  [
    'the person is removed',
    async ({ person }) => {
      await removePerson(test.broker, people.lead.id, person.id);
    },
  ],
  [
    'their key is removed',
    async ({ person }) => {
      await removePersonKey(test.broker, people.lead.id, person.id, person.kid);
    },
  ],
  [
    'the run is handed back',
    async ({ runId }) => {
      await endRun(test.broker, people.lead.id, runId);
    },
  ],
  [
    'their access is handed back',
    async ({ person }) => {
      await handBackAccess(test.broker, person.id, { personId: person.id });
    },
  ],
  [
    'an order stops them',
    async ({ person }) => {
      const spec = orderSpecSchema.parse({ selector: { person: person.id }, grounds: 'Look' });
      const { order } = await issueOrder(test.broker, people.safety.id, spec, true);
      return () => liftOrder(test.broker, people.admin.id, order.id, 'Seen');
    },
  ],
];

const NO_PROOF = { proofs: [], method: 'POST', url: '' };

/** The token, or why there is none. */
async function tokenOrCode(request: TokenRequest): Promise<string> {
  try {
    return (await issueToken(test.broker, request, NO_PROOF)).token;
  } catch (error) {
    if (error instanceof RefusedError) return error.refusal.code;
    throw error;
  }
}

const isToken = (text: string): boolean => text.includes('.');

/** What the gateway answers to a token. */
async function statusWith(token: string): Promise<number> {
  const headers = { authorization: `Bearer ${token}` };
  return (await send(test, { method: 'GET', path: '/v1/models', headers })).status;
}

const REFUSED = [401, 403];

describe('a token that is being issued while', () => {
  it.each(ENDS)('%s: is refused, or is worth nothing', async (_name, end) => {
    for (let round = 0; round < 10; round += 1) {
      const { admin, partner, lead } = people;
      const name = `Ned New ${randomUUID()}`;
      const person = await makePerson(test.broker, admin.id, partner.id, name, ['researcher']);
      const roster = [{ person: lead.id }, { person: person.id }];
      const grant = await makeActiveGrant(test, people, { people: roster });
      const { termsDigest } = grant;
      await stepGrant(test.broker, person.id, grant.id, 'accept', { termsDigest });
      const first = await getToken(test, person, accessTo(grant));
      const runId = String(decodeJwt(first)['run']);
      const request = await requestOf(person, grant);
      const size = test.broker.readers.logSize();
      let issued: Promise<string> | undefined;
      const letGo = await holdVerification(() => {
        issued = tokenOrCode(request);
      });
      // In every other round the end is on its way to the log by the time the token is decided on.
      if (round % 2 === 0) letGo();
      for (let i = 0; i < round; i += 2) await tick();
      const ending = end({ person, grant, runId });
      letGo();
      const undo = await ending;
      const token = (await issued) ?? '';
      // The log tells who was allowed what: nothing is given after what ended it.
      const kinds = entriesSince(test, size).map(({ kind }) => String(kind));
      const ended = kinds.findIndex((kind) => !kind.startsWith('token.'));
      expect(kinds.slice(ended)).not.toContain('token.issued');
      expect(REFUSED).toContain(await statusWith(first));
      expect(REFUSED).toContain(isToken(token) ? await statusWith(token) : 403);
      // And what is asked for from now on is not given.
      const again = issueToken(test.broker, await requestOf(person, grant), NO_PROOF);
      expect(await outcomeOf(again)).not.toBe('passed');
      await undo?.();
    }
  });

  it("the lab's identity is taken away: is refused, or is worth nothing", async () => {
    const { admin, partner, researcher } = people;
    const grant = await makeActiveGrant(test, people);
    for (let round = 0; round < 10; round += 1) {
      await setLabIdentity(test.broker, admin.id, partner.id, identity.input);
      const claims = { jti: randomUUID() };
      const labAssertion = await signLabAssertion(test, identity, researcher.id, claims);
      const request = { ...(await requestOf(researcher, grant)), clientAssertion: undefined };
      const issued = tokenOrCode({ ...request, labAssertion });
      for (let i = 0; i < round; i += 1) await tick();
      await removeLabIdentity(test.broker, admin.id, partner.id);
      const token = await issued;
      const outcome = isToken(token) ? await statusWith(token) : token;
      expect([401, 'invalid_assertion']).toContain(outcome);
    }
  });

  it.each(['gateway', 'control'])(
    'the person is removed whom their lab vouched for: none for the %s, and that on record',
    async (door) => {
      const { admin, partner, lead } = people;
      const name = `Vic Vouched ${randomUUID()}`;
      const person = await makePerson(test.broker, admin.id, partner.id, name, ['researcher']);
      const roster = [{ person: lead.id }, { person: person.id }];
      const grant = await makeActiveGrant(test, people, { people: roster });
      const { termsDigest } = grant;
      await stepGrant(test.broker, person.id, grant.id, 'accept', { termsDigest });
      await setLabIdentity(test.broker, admin.id, partner.id, identity.input);
      const request = {
        ...(await requestOf(person, door === 'gateway' ? grant : undefined)),
        clientAssertion: undefined,
        labAssertion: await signLabAssertion(test, identity, person.id),
      };
      const size = test.broker.readers.logSize();
      // After everything that is looked at before the token is stored.
      const { store } = test.broker;
      const write = store.write.bind(store);
      vi.spyOn(store, 'write').mockImplementationOnce(async (...parts) => {
        await removePerson(test.broker, lead.id, person.id);
        return write(...parts);
      });
      expect(await tokenOrCode(request)).toBe('person_removed');
      expect(entriesSince(test, size)).toMatchObject([
        { kind: 'person.removed', ref: person.id },
        { kind: 'token.denied', person: person.id, reason: 'person_removed' },
      ]);
    },
  );

  it('the key that would sign it is retired: another signs it, or it is worth nothing', async () => {
    const { admin, researcher } = people;
    const grant = await makeActiveGrant(test, people);
    for (let round = 0; round < 10; round += 1) {
      const { kid } = test.broker.signingKeys.active;
      const issued = tokenOrCode(await requestOf(researcher, grant));
      for (let i = 0; i < round; i += 1) await tick();
      await retireSigningKey(test.broker, admin.id, kid, 'Leaked');
      const token = await issued;
      expect(isToken(token)).toBe(true);
      const isSignedAnew = decodeProtectedHeader(token).kid !== kid;
      expect(await statusWith(token)).toBe(isSignedAnew ? 200 : 401);
    }
  });
});
