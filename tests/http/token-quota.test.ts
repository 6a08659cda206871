/** One person has so many live tokens and no more, whoever asks, and however many at once. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodeJwt } from 'jose';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { revokeTokens } from '../../src/broker/end-access.ts';
import { revokeToken } from '../../src/broker/revoke-token.ts';
import type { Grant } from '../../src/core/grants.ts';
import { makeActiveGrant } from '../support/grants.ts';
import { makePeople, tokenForm, type People, type TestPerson } from '../support/people.ts';
import {
  codeOf,
  entriesSince,
  oauthErrorOf,
  refused,
  send,
  type RawAnswer,
} from '../support/refusals.ts';
import { SetClock } from '../support/set-clock.ts';
import { startTestBroker, type TestBroker } from '../support/test-broker.ts';
import { NO_GRANT } from './route-samples.ts';

const MOST = 3;
const PATH = '/oauth/token';

const clock = new SetClock();
const dataDir = mkdtempSync(join(tmpdir(), 'sallyport-quota-'));
let test: TestBroker;
let people: People;
let grant: Grant;

const start = (port: number): Promise<TestBroker> =>
  startTestBroker({
    clock: clock.read,
    dataDir,
    server: { port },
    tokens: { livePerPerson: MOST },
  });

beforeAll(async () => {
  test = await start(0);
  people = await makePeople(test);
  grant = await makeActiveGrant(test, people);
});
afterAll(async () => {
  await test.close();
  rmSync(dataDir, { recursive: true, force: true });
});
// Whatever one test left has expired for the next.
beforeEach(() => {
  clock.now += 3_600_000;
});

const access = () => ({ grant: grant.id, purpose: 'scheming', run: 'a run' }) as const;

async function ask(who: TestPerson, wanted?: Parameters<typeof tokenForm>[2]): Promise<RawAnswer> {
  return send(test, { path: PATH, form: await tokenForm(test, who, wanted) });
}

/** As many as somebody may have, of both kinds. */
async function fill(who = people.researcher): Promise<string[]> {
  const tokens: string[] = [];
  for (let i = 0; i < MOST; i += 1) {
    const { status, body } = await ask(who, i % 2 === 0 ? access() : undefined);
    expect(status).toBe(200);
    tokens.push(String(body['access_token']));
  }
  return tokens;
}

const idOf = (token = ''): string => String(decodeJwt(token).jti);

describe('one token more than a person may have', () => {
  it.each([
    ['the gateway', () => access()],
    ['the control API', () => undefined],
  ])('is refused, for %s: that is on record, and its assertion used up', async (_name, wanted) => {
    await fill();
    const form = await tokenForm(test, people.researcher, wanted());
    const asked = { path: PATH, form };
    const answer = await refused(test, asked, 'too_many_tokens', { entry: 'token.denied' });
    expect(oauthErrorOf(answer)).toEqual([429, 'temporarily_unavailable']);
    await revokeTokens(test.broker, people.lead.id, { person: people.researcher.id });
    expect(codeOf(await send(test, asked))).toBe('assertion_replayed');
    await fill();
    // It comes before anything that a grant would say.
    const unknown = await ask(people.researcher, { ...access(), grant: NO_GRANT });
    expect(codeOf(unknown)).toBe('too_many_tokens');
    // Others have their own.
    expect((await ask(people.lead)).status).toBe(200);
  });

  it('is refused where they come at once', async () => {
    const forms = await Promise.all(
      Array.from({ length: 20 }, () => tokenForm(test, people.researcher)),
    );
    const size = test.broker.readers.logSize();
    const answers = await Promise.all(forms.map((form) => send(test, { path: PATH, form })));
    const codes = answers.map((answer) => (answer.status === 200 ? 'passed' : codeOf(answer)));
    expect(codes.filter((code) => code === 'passed')).toHaveLength(MOST);
    expect(new Set(codes)).toEqual(new Set(['passed', 'too_many_tokens']));
    const kinds = entriesSince(test, size).map(({ kind }) => kind);
    expect(kinds.filter((kind) => kind === 'token.issued')).toHaveLength(MOST);
    expect(kinds.filter((kind) => kind === 'token.denied')).toHaveLength(20 - MOST);
  });

  it('is refused after the broker has started again', async () => {
    await fill();
    const port = Number(new URL(test.url).port);
    await test.close();
    test = await start(port);
    expect(codeOf(await ask(people.researcher))).toBe('too_many_tokens');
  });
});

describe('there is room again when one of them', () => {
  it.each<[string, (tokens: string[]) => Promise<unknown>, number]>([
    ['is revoked', ([token]) => revokeToken(test.broker, people.researcher.id, idOf(token)), 1],
    [
      'is ended with others',
      () => revokeTokens(test.broker, people.lead.id, { person: people.researcher.id }),
      MOST,
    ],
    [
      'has expired',
      ([, token = '']) => {
        clock.now = Number(decodeJwt(token).exp) * 1000;
        return Promise.resolve();
      },
      1,
    ],
  ])('%s', async (_name, end, room) => {
    // Those of the control API live for the shorter time.
    await end(await fill());
    for (let i = 0; i < room; i += 1) expect((await ask(people.researcher)).status).toBe(200);
    expect(codeOf(await ask(people.researcher))).toBe('too_many_tokens');
  });

  it('was refused for another reason, and never came to be', async () => {
    for (let i = 0; i < 3 * MOST; i += 1) {
      const refusedOne = await ask(people.researcher, { ...access(), grant: NO_GRANT });
      expect(codeOf(refusedOne)).toBe('grant_unknown');
    }
    await fill();
  });
});
