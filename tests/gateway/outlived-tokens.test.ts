/** Streams that outlive their tokens: they go on, and whatever would have ended the token ends them still. */
import { decodeJwt } from 'jose';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { endRun, handBackAccess, revokeTokens } from '../../src/broker/end-access.ts';
import { removePerson, removePersonKey } from '../../src/broker/manage-people.ts';
import { retireSigningKey } from '../../src/broker/manage-signing-keys.ts';
import { revokeToken } from '../../src/broker/revoke-token.ts';
import type { TestPerson } from '../support/people.ts';
import {
  HELLO,
  codeOf,
  drain,
  errorOf,
  startRunningBroker,
  type Access,
  type RunningBroker,
} from '../support/running-broker.ts';
import { hold } from '../support/scripted-upstream.ts';
import { SetClock } from '../support/set-clock.ts';

/** How long after the acknowledgement a stream may go on. */
const BITE_MS = 250;

const clock = new SetClock();
let running: RunningBroker;
let holder: TestPerson;

beforeAll(async () => {
  running = await startRunningBroker({ clock: clock.read });
});
afterEach(() => running.checkUpstream());
afterAll(() => running.close());

const idOf = ({ token }: Access): string => String(decodeJwt(token).jti);
const lead = (): string => running.people.lead.id;

interface Stream {
  /** What cut it, and when. */
  ending: Promise<{ code: string | undefined; at: number }>;
}

/** Begins a stream that the upstream holds, and lets the token that it began with expire. */
async function outlive(access: Access): Promise<Stream> {
  const stream = await access.openai.chat.completions.create({ ...HELLO, stream: true });
  const ending = errorOf(drain(stream)).then((error) => ({
    code: codeOf(error),
    at: performance.now(),
  }));
  clock.now = Number(decodeJwt(access.token).exp) * 1000;
  const late = await errorOf(access.openai.chat.completions.create(HELLO));
  expect(codeOf(late)).toBe('token_expired');
  return { ending };
}

/** Everything that ends tokens. Says how many live ones it ended. */
const ENDS: [string, (access: Access) => Promise<{ ended?: number; cut?: number }>][] = [
  ['their holder is named', () => revokeTokens(running.test.broker, lead(), { person: holder.id })],
  [
    'the token is named among all',
    (access) => revokeTokens(running.test.broker, lead(), { token: idOf(access) }),
  ],
  [
    'the run is handed back',
    ({ token }) => endRun(running.test.broker, lead(), String(decodeJwt(token)['run'])),
  ],
  [
    'the grant is handed back',
    ({ grant }) =>
      handBackAccess(running.test.broker, holder.id, { personId: holder.id, grantId: grant.id }),
  ],
  [
    'all access is handed back',
    () => handBackAccess(running.test.broker, lead(), { personId: holder.id }),
  ],
];

describe('a stream whose token has expired', () => {
  it.each(ENDS)('is cut at once when %s', async (_name, end) => {
    holder = await running.newResearcher();
    const access = await running.access({}, holder);
    running.upstream.respond(hold());
    const { ending } = await outlive(access);
    expect(await end(access)).toMatchObject({ ended: 0, cut: 1 });
    const acknowledged = performance.now();
    const { code, at } = await ending;
    expect(code).toBe('token_revoked');
    expect(at - acknowledged).toBeLessThan(BITE_MS);
    // Now that it is over, there is nothing left to end.
    await running.outcomeOf(access.grant);
    expect(await revokeTokens(running.test.broker, lead(), { token: idOf(access) })).toMatchObject({
      ended: 0,
      cut: 0,
    });
  });

  it.each<[string, (access: Access) => Promise<unknown>]>([
    [
      'the token alone is revoked',
      (access) => revokeToken(running.test.broker, lead(), idOf(access)),
    ],
    [
      'the key that it was got with is removed',
      () => removePersonKey(running.test.broker, lead(), holder.id, holder.kid),
    ],
    [
      'the key that signed it is retired',
      () => {
        const { broker } = running.test;
        const { kid } = broker.signingKeys.active;
        return retireSigningKey(broker, running.people.admin.id, kid, 'Leaked');
      },
    ],
    ['its holder is removed', () => removePerson(running.test.broker, lead(), holder.id)],
  ])('is cut when %s', async (_name, end) => {
    holder = await running.newResearcher();
    const access = await running.access({}, holder);
    running.upstream.respond(hold());
    const { ending } = await outlive(access);
    await end(access);
    expect((await ending).code).toBe('token_revoked');
  });

  it("goes on when somebody else's access ends", async () => {
    holder = await running.newResearcher();
    const other = await running.newResearcher();
    const access = await running.access({}, holder);
    const held = hold();
    running.upstream.respond(held);
    const stream = await access.openai.chat.completions.create({ ...HELLO, stream: true });
    clock.now = Number(decodeJwt(access.token).exp) * 1000;
    await handBackAccess(running.test.broker, lead(), { personId: other.id });
    await revokeTokens(running.test.broker, lead(), { person: other.id });
    held.release();
    expect((await drain(stream)).length).toBeGreaterThan(0);
    expect(await running.outcomeOf(access.grant)).toMatchObject({ data: { end: 'completed' } });
  });
});
