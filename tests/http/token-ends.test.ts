/** When tokens end: never after what they rest on, at full seconds, and none is given that would be over at once. */
import { decodeJwt } from 'jose';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { setLabIdentity } from '../../src/broker/manage-lab-identity.ts';
import type { DenialCode } from '../../src/core/denials.ts';
import type { Grant } from '../../src/core/grants.ts';
import { JWT_BEARER } from '../../src/oauth/lab-assertion.ts';
import { makeActiveGrant, type GrantInput } from '../support/grants.ts';
import { makeIdentity, signLabAssertion } from '../support/lab-identities.ts';
import { makePeople, tokenForm, type People } from '../support/people.ts';
import { oauthErrorOf, refused, send } from '../support/refusals.ts';
import { SetClock } from '../support/set-clock.ts';
import { startTestBroker, type TestBroker } from '../support/test-broker.ts';

const PATH = '/oauth/token';
const SKEW_MS = 30_000;

const clock = new SetClock();
const identity = makeIdentity('https://id.partner.example');
let test: TestBroker;
let people: People;
/** A full second, in half a minute. */
let end: number;

beforeAll(async () => {
  test = await startTestBroker({ clock: clock.read });
  people = await makePeople(test);
  const { admin, partner } = people;
  await setLabIdentity(test.broker, admin.id, partner.id, identity.input);
});
afterAll(() => test.close());
beforeEach(() => {
  clock.now = Math.ceil(clock.now / 1000) * 1000 + 60_000;
  end = clock.now + 30_000;
});

const instant = (ms: number): string => new Date(ms).toISOString();
const accessTo = (grant: Grant) =>
  ({ grant: grant.id, purpose: 'scheming', run: 'a run' }) as const;

type Form = Record<string, string>;

/** A request in which the lab vouches for the researcher, until some moment. */
async function vouched(until: number, grant?: Grant): Promise<Form> {
  const { researcher } = people;
  const claims = { exp: until / 1000 };
  const assertion = await signLabAssertion(test, identity, researcher.id, claims);
  const details = grant && JSON.stringify([{ type: 'model_access', ...accessTo(grant) }]);
  return {
    grant_type: JWT_BEARER,
    assertion,
    ...(details === undefined ? {} : { authorization_details: details }),
  };
}

/** Seconds that the token of the answer lives by itself, and by what the answer says. */
async function lifeOf(form: Form): Promise<{ exp: number; expiresIn: unknown }> {
  const { status, body } = await send(test, { path: PATH, form });
  expect([status, body['code']]).toEqual([200, undefined]);
  const { exp = 0, iat = 0 } = decodeJwt(String(body['access_token']));
  expect(exp).toBeGreaterThan(iat);
  return { exp: exp * 1000, expiresIn: body['expires_in'] };
}

async function expectOver(
  form: Form,
  code: DenialCode,
  error: string,
  sentence: string,
): Promise<void> {
  const answer = await refused(test, { path: PATH, form }, code, { entry: 'token.denied' });
  expect(oauthErrorOf(answer)).toEqual([400, error]);
  expect(answer.body['error_description']).toContain(sentence);
}

const AT_ONCE = 'It ends within this second.';

describe.each<[string, (until: string) => Partial<GrantInput>]>([
  ['the window of its grant', (until) => ({ window: { from: instant(end - 3_600_000), until } })],
  [
    'its place on the roster',
    (until) => ({
      people: [{ person: people.lead.id }, { person: people.researcher.id, until }],
    }),
  ],
])('a token that %s ends', (_name, changesOf) => {
  it('is given up to the last full second, and not within the one that is left', async () => {
    const grant = await makeActiveGrant(test, people, changesOf(instant(end + 400)));
    const ask = (): Promise<Form> => tokenForm(test, people.researcher, accessTo(grant));
    clock.now = end - 2_000;
    expect(await lifeOf(await ask())).toEqual({ exp: end, expiresIn: 2 });
    clock.now = end - 1;
    expect(await lifeOf(await ask())).toEqual({ exp: end, expiresIn: 1 });
    for (const moment of [end, end + 399]) {
      clock.now = moment;
      await expectOver(await ask(), 'grant_expired', 'unauthorized_client', AT_ONCE);
    }
  });
});

describe("a token that a lab's assertion ends", () => {
  const within = async (form: Form): Promise<void> =>
    expectOver(form, 'token_expired', 'invalid_grant', AT_ONCE);

  it('lives as long as that does, and no longer for the skew of clocks', async () => {
    clock.now = end - 10_000;
    expect(await lifeOf(await vouched(end))).toEqual({ exp: end, expiresIn: 10 });
    clock.now = end - 1;
    expect(await lifeOf(await vouched(end))).toEqual({ exp: end, expiresIn: 1 });
  });

  it.each(['gateway', 'control'])(
    'lives for what is left of the skew, where that let it in: at the %s',
    async (door) => {
      const grant = door === 'gateway' ? await makeActiveGrant(test, people) : undefined;
      const over = end + SKEW_MS;
      clock.now = end;
      expect(await lifeOf(await vouched(end, grant))).toEqual({ exp: over, expiresIn: 30 });
      clock.now = over - 1;
      expect(await lifeOf(await vouched(end, grant))).toEqual({ exp: over, expiresIn: 1 });
      clock.now = over;
      await within(await vouched(end, grant));
      clock.now = over + 1;
      const form = await vouched(end, grant);
      const late = await refused(test, { path: PATH, form }, 'invalid_assertion', {
        counted: 'token_endpoint',
      });
      expect(late.body['error_description']).toContain('has expired');
    },
  );

  it('ends with the grant where that comes first, which is what is said then', async () => {
    const window = { from: instant(end - 3_600_000), until: instant(end + 400) };
    const grant = await makeActiveGrant(test, people, { window });
    clock.now = end - 5_000;
    expect(await lifeOf(await vouched(end + 10_000, grant))).toEqual({ exp: end, expiresIn: 5 });
    clock.now = end;
    const form = await vouched(end + 10_000, grant);
    await expectOver(form, 'grant_expired', 'unauthorized_client', AT_ONCE);
  });
});
