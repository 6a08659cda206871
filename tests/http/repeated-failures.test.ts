/** Whoever fails to show who they are, again and again: slowed, counted, and told nothing by how long it takes. */
import { randomUUID } from 'node:crypto';
import { createServer, type AddressInfo } from 'node:net';
import { once } from 'node:events';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { setLabIdentity } from '../../src/broker/manage-lab-identity.ts';
import { removePerson } from '../../src/broker/manage-people.ts';
import { ASSERTION_TYPE } from '../../src/oauth/client-assertion.ts';
import { JWT_BEARER } from '../../src/oauth/lab-assertion.ts';
import { makeIdentity, signLabAssertion } from '../support/lab-identities.ts';
import {
  makeKey,
  makePeople,
  makePerson,
  signAssertion,
  tokenForm,
  type People,
  type TestPerson,
} from '../support/people.ts';
import { ProofKey } from '../support/proofs.ts';
import { entriesSince, send, type RawAnswer, type RawRequest } from '../support/refusals.ts';
import { SetClock } from '../support/set-clock.ts';
import { startTestBroker, type TestBroker } from '../support/test-broker.ts';
import { NO_GRANT } from './route-samples.ts';

const MOST = 5;
const MINUTE = 60_000;

const clock = new SetClock();
const identity = makeIdentity('https://id.partner.example');
const key = new ProofKey();
let test: TestBroker;
let people: People;

/** A broker behind a proxy has to be told its own address. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

beforeAll(async () => {
  const port = await freePort();
  test = await startTestBroker({
    clock: clock.read,
    server: {
      port,
      publicUrl: `http://127.0.0.1:${port}`,
      behindProxy: { trustedNetworks: ['127.0.0.0/8'] },
    },
    tokens: { failures: { longestHoldSeconds: 0, perAddressPerMinute: MOST } },
  });
  people = await makePeople(test);
  const { admin, partner } = people;
  await setLabIdentity(test.broker, admin.id, partner.id, identity.input);
});
afterAll(() => test.close());
// What one test did wrong is over for the next.
beforeEach(() => {
  clock.now += MINUTE;
});
afterEach(() => vi.restoreAllMocks());

const ME = '192.0.2.1';

const ask = (
  form: Record<string, string>,
  { path = '/oauth/token', from = ME, headers = {} }: Partial<RawRequest> & { from?: string } = {},
): Promise<RawAnswer> =>
  send(test, { path, form, headers: { 'x-forwarded-for': from, ...headers } });

async function wrongForm(who: TestPerson = people.researcher): Promise<Record<string, string>> {
  const form = await tokenForm(test, who);
  return { ...form, client_assertion: await signAssertion(test, who, {}, makeKey().privateKey) };
}

async function failFrom(address: string, times = MOST): Promise<void> {
  for (let i = 0; i < times; i += 1) {
    const { status } = await ask(await wrongForm(), { from: address });
    expect(status).toBe(401);
  }
}

describe('an answer that is held back', () => {
  it('is that of every failure to prove something, by the name that was claimed', async () => {
    const hold = vi.spyOn(test.broker.brake, 'hold').mockResolvedValue();
    const { researcher } = people;
    const right = await tokenForm(test, researcher);
    const name = researcher.id;
    const used = await tokenForm(test, researcher);
    await ask(used);
    const forged = await signLabAssertion(
      test,
      { ...identity, privateKey: makeKey().privateKey },
      researcher.id,
    );
    const dpop = key.prove(test, ['POST', '/oauth/revoke'], undefined);
    const cases: [string | undefined, Promise<RawAnswer>][] = [
      [name, ask(await wrongForm())],
      [name, ask(used)],
      [name, ask({ ...(await wrongForm()), token: 'x' }, { path: '/oauth/revoke' })],
      [name, ask({ ...(await wrongForm()), token: 'x' }, { path: '/oauth/introspect' })],
      [name, ask(right, { headers: { dpop } })],
      [identity.issuer, ask({ grant_type: JWT_BEARER, assertion: forged })],
      [undefined, ask({ ...right, client_assertion: 'nonsense' })],
      ['per_x', ask({ grant_type: 'client_credentials', client_id: 'per_x' })],
      [undefined, ask({}, { headers: { authorization: 'Basic eA==' } })],
    ];
    for (const [, answer] of cases) expect((await answer).status).toBeGreaterThanOrEqual(400);
    expect(hold.mock.calls.map((call) => JSON.stringify(call)).sort()).toEqual(
      cases.map(([claimed]) => JSON.stringify([ME, claimed])).sort(),
    );
  });

  it('is longer by what the assertion is looked up by: no other claim makes somebody new', async () => {
    const hold = vi.spyOn(test.broker.brake, 'hold').mockResolvedValue();
    const { researcher, lead } = people;
    const { privateKey } = makeKey();
    const guesses: [string, Record<string, string>][] = [];
    for (const sub of [researcher.id, lead.id, randomUUID()]) {
      const claims = { sub, jti: randomUUID(), aud: randomUUID() };
      const byPerson = await signAssertion(test, researcher, claims, privateKey);
      const right = await tokenForm(test, researcher);
      guesses.push([researcher.id, { ...right, client_assertion: byPerson, client_id: sub }]);
      const forged = { ...identity, privateKey };
      const byLab = await signLabAssertion(test, forged, sub, claims, { kid: randomUUID() });
      guesses.push([identity.issuer, { grant_type: JWT_BEARER, assertion: byLab }]);
    }
    for (const [name, form] of guesses) {
      hold.mockClear();
      expect((await ask(form)).status).toBeGreaterThanOrEqual(400);
      expect(hold.mock.calls).toEqual([[ME, name]]);
    }
  });

  it('is no success, no form that is wrong, no lesson in nonces, and no refusal of somebody known', async () => {
    const hold = vi.spyOn(test.broker.brake, 'hold');
    const { researcher } = people;
    const form = await tokenForm(test, researcher);
    const claims = { nonce: undefined };
    const dpop = key.prove(test, ['POST', '/oauth/token'], undefined, { claims });
    const codes = [
      (await ask(form, { headers: { dpop } })).body['code'],
      (await ask({ ...form, grant_type: 'password' })).body['code'],
      (await ask({ ...form, authorization_details: '[]' })).body['code'],
      (await ask(form)).body['token_type'],
      (await ask(await tokenForm(test, researcher, { grant: NO_GRANT, purpose: 'bias', run: 'x' })))
        .body['code'],
    ];
    expect(codes).toEqual([
      'use_dpop_nonce',
      'invalid_request',
      'invalid_request',
      'Bearer',
      'grant_unknown',
    ]);
    expect(hold).not.toHaveBeenCalled();
  });

  it('keeps nobody waiting but whoever failed: not even the person in whose name it was', async () => {
    let letGo = (): void => undefined;
    const over = new Promise<void>((resolve) => (letGo = resolve));
    const begun = new Promise<void>((resolve) => {
      vi.spyOn(test.broker.brake, 'hold').mockImplementation(() => {
        resolve();
        return over;
      });
    });
    const events: string[] = [];
    const failing = ask(await wrongForm()).then(() => events.push('failure'));
    await begun;
    const good = await ask(await tokenForm(test, people.researcher));
    expect(good.status).toBe(200);
    events.push('success');
    letGo();
    await failing;
    expect(events).toEqual(['success', 'failure']);
  });
});

describe('an address that fails without end', () => {
  it('is refused unheard, and told for how long', async () => {
    await failFrom(ME);
    clock.now += 18_500;
    const form = await tokenForm(test, people.researcher);
    const answer = await ask(form);
    expect(answer.status).toBe(429);
    expect(answer.body).toMatchObject({
      error: 'temporarily_unavailable',
      code: 'too_many_failures',
    });
    expect(answer.headers).toMatchObject({ 'retry-after': '42', 'cache-control': 'no-store' });
    // Others are heard: the same person from elsewhere, with the very assertion that was not looked at.
    expect((await ask(form, { from: '192.0.2.2' })).status).toBe(200);
    // It does not help to go on.
    clock.now += MINUTE - 18_500 - 1;
    expect((await ask(await wrongForm())).headers['retry-after']).toBe('1');
    clock.now += 1;
    expect((await ask(await tokenForm(test, people.researcher))).status).toBe(200);
  });

  it('is heard where tokens are handed back and looked at, however often it fails there', async () => {
    const { researcher } = people;
    const token = String((await ask(await tokenForm(test, researcher))).body['access_token']);
    const asked = async (path: string, form: Record<string, string>): Promise<RawAnswer> =>
      ask({ ...form, token }, { path });
    for (const path of ['/oauth/revoke', '/oauth/introspect'])
      for (let i = 0; i < MOST; i += 1)
        expect((await asked(path, await wrongForm())).body['code']).toBe('invalid_client');
    expect((await ask(await tokenForm(test, researcher))).status).toBe(429);
    const introspect = async (): Promise<unknown> =>
      (await asked('/oauth/introspect', await tokenForm(test, researcher))).body['active'];
    expect(await introspect()).toBe(true);
    const revoked = await asked('/oauth/revoke', await tokenForm(test, researcher));
    expect([revoked.status, revoked.text]).toEqual([200, '']);
    expect(await introspect()).toBe(false);
  });

  it('is a whole /64 of IPv6', async () => {
    await failFrom('2001:db8:1:2::1', MOST - 1);
    await failFrom('2001:db8:1:2:ffff::1', 1);
    const form = await tokenForm(test, people.researcher);
    expect((await ask(form, { from: '2001:DB8:1:2::3' })).status).toBe(429);
    expect((await ask(form, { from: '2001:db8:1:3::1' })).status).toBe(200);
  });

  it('is not who claims it: what is left of the proxy is the client’s own word', async () => {
    await failFrom('198.51.100.9, 192.0.2.77');
    const form = await tokenForm(test, people.researcher);
    expect((await ask(form, { from: '198.51.100.9' })).status).toBe(200);
    const again = await tokenForm(test, people.researcher);
    expect((await ask(again, { from: '203.0.113.5, 192.0.2.77' })).status).toBe(429);
  });

  it('locks nobody out of the gateway and the control API', async () => {
    const { body } = await ask(await tokenForm(test, people.researcher));
    await failFrom('192.0.2.3');
    const headers = {
      authorization: `Bearer ${String(body['access_token'])}`,
      'x-forwarded-for': '192.0.2.3',
    };
    const me = await send(test, { method: 'GET', path: '/api/v1/me', headers });
    expect(me.status).toBe(200);
  });
});

describe('on record', () => {
  it('stands how many there were of what, in one entry', async () => {
    const { broker } = test;
    await broker.unauthenticated.flush();
    const size = broker.readers.logSize();
    const since = new Date(clock.now).toISOString();
    await failFrom('192.0.2.4');
    for (let i = 0; i < 30; i += 1) await ask({}, { from: '192.0.2.4' });
    for (let i = 0; i < 7; i += 1) await ask({}, { from: '192.0.2.5' });
    const headers = { authorization: 'Bearer nonsense' };
    for (const path of ['/v1/models', '/api/v1/me'])
      for (let i = 0; i < 3; i += 1) await send(test, { method: 'GET', path, headers });
    expect(broker.readers.logSize()).toBe(size);
    clock.now += 1_000;
    await broker.unauthenticated.flush();
    expect(entriesSince(test, size)).toMatchObject([
      {
        kind: 'request.unauthenticated',
        actor: { system: 'broker' },
        decision: 'denied',
        data: {
          since,
          counts: {
            'token_endpoint invalid_client': MOST,
            'token_endpoint too_many_failures': 30,
            'token_endpoint invalid_request': 7,
            'gateway invalid_token': 3,
            'control invalid_token': 3,
          },
        },
      },
    ]);
    await broker.unauthenticated.flush();
    expect(entriesSince(test, size)).toHaveLength(1);
  });
});

describe('how long it takes', () => {
  /** Checks of signatures that a request costs. */
  async function checksOf(form: Record<string, string>): Promise<[number, unknown]> {
    const verify = vi.spyOn(globalThis.crypto.subtle, 'verify');
    const { body } = await ask(form, { from: `198.51.100.${(from += 1)}` });
    const checks = verify.mock.calls.length;
    verify.mockRestore();
    return [checks, body['code']];
  }
  let from = 0;

  it('does not tell an unknown person from a wrong key, or from one who was removed', async () => {
    const { researcher, admin, partner } = people;
    const gone = await makePerson(test.broker, admin.id, partner.id, 'Gone', ['researcher']);
    await removePerson(test.broker, admin.id, gone.id);
    const unknown = { ...researcher, id: 'per_00000000000000000000000000' };
    const otherKid = { ...researcher, kid: people.lead.kid };
    const wrongKey = { ...researcher, privateKey: makeKey().privateKey };
    for (const who of [unknown, otherKid, wrongKey, gone]) {
      const form = {
        grant_type: 'client_credentials',
        client_assertion_type: ASSERTION_TYPE,
        client_assertion: await signAssertion(test, who),
      };
      expect(await checksOf(form)).toEqual([1, 'invalid_client']);
    }
  });

  it('does not tell an unknown lab from a wrong key', async () => {
    const { privateKey } = makeKey();
    const { researcher } = people;
    const elsewhere = { ...identity, issuer: 'https://id.nobody.example' };
    const said = [
      await signLabAssertion(test, elsewhere, researcher.id),
      await signLabAssertion(test, { ...identity, privateKey }, researcher.id),
      await signLabAssertion(test, identity, researcher.id, {}, { kid: 'unknown' }),
      // Nor somebody whom the lab has never named, by how much is looked up for them.
      await signLabAssertion(test, { ...identity, privateKey }, randomUUID()),
    ];
    for (const assertion of said)
      expect(await checksOf({ grant_type: JWT_BEARER, assertion })).toEqual([
        1,
        'invalid_assertion',
      ]);
  });
});
