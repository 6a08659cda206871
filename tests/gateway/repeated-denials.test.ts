/** A client that is refused and does not stop asking: it gets its answers, and does not fill the log. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodeJwt } from 'jose';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { MOST_SINGLY } from '../../src/broker/repeated-denials.ts';
import type { Grant } from '../../src/core/grants.ts';
import {
  HELLO,
  MODEL,
  eventually,
  post,
  startRunningBroker,
  type Access,
  type LogEntry,
  type RunningBroker,
} from '../support/running-broker.ts';
import { hold, openaiJson } from '../support/scripted-upstream.ts';
import { SetClock } from '../support/set-clock.ts';
import { readStored } from '../support/stored-log.ts';

const MINUTE = 60_000;

/** Refused on the main thread. */
const WRONG_MODEL = { ...HELLO, model: 'model-x' };

const clock = new SetClock();
let running: RunningBroker;
let chat: string;

beforeAll(async () => {
  running = await startRunningBroker({ clock: clock.read });
  chat = `${running.url}/v1/chat/completions`;
});
afterEach(() => {
  running.checkUpstream();
  running.upstream.respond(openaiJson());
});
afterAll(() => running.close());

/** Asks so many times, a few at once. @returns how often each status and code was the answer */
async function ask(
  { token }: Access,
  times: number,
  body: object = WRONG_MODEL,
  atOnce = 20,
): Promise<Record<string, number>> {
  const answers: Record<string, number> = {};
  for (let done = 0; done < times; done += atOnce) {
    const few = Math.min(atOnce, times - done);
    await Promise.all(
      Array.from({ length: few }, async () => {
        const answer = await post(chat, token, body);
        const { error } = (await answer.json()) as { error?: { code: string } };
        const what = `${answer.status} ${error?.code ?? 'ok'}`;
        answers[what] = (answers[what] ?? 0) + 1;
      }),
    );
  }
  return answers;
}

const singles = (grant: Grant): LogEntry[] =>
  running.entries({ kind: 'request.denied', grant: grant.id });
const together = (grant: Grant): LogEntry[] =>
  running.entries({ kind: 'request.denied_repeatedly', grant: grant.id });
const idOf = ({ token }: Access): string => String(decodeJwt(token).jti);

async function minuteLater(): Promise<void> {
  clock.now += MINUTE;
  await running.test.broker.repeatedDenials.flush();
}

async function refusalsCounted(code: string): Promise<number> {
  const { values } = await running.test.broker.metrics.registry
    .getSingleMetric('sallyport_refusals_total')!
    .get();
  return values.find(({ labels }) => labels['code'] === code)?.value ?? 0;
}

describe('known failure 13: of 250 refusals of a token in a minute', () => {
  it('100 have an entry each, and one entry counts the others; every answer is the same', async () => {
    const access = await running.access();
    const { grant, person } = access;
    const before = await refusalsCounted('model_not_granted');
    const since = clock.now;
    expect(await ask(access, 250)).toEqual({ '403 model_not_granted': 250 });
    expect(singles(grant)).toHaveLength(MOST_SINGLY);
    expect(together(grant)).toEqual([]);
    expect((await refusalsCounted('model_not_granted')) - before).toBe(250);

    await minuteLater();
    const [first] = singles(grant);
    expect(together(grant)).toEqual([
      {
        ...first,
        index: expect.any(Number) as number,
        id: expect.stringMatching(/^ent_/) as string,
        kind: 'request.denied_repeatedly',
        at: new Date(clock.now).toISOString(),
        committedAt: expect.any(String) as string,
        person: person.id,
        token: idOf(access),
        purpose: 'hallucination',
        ref: undefined,
        reason: undefined,
        data: { since: new Date(since).toISOString(), counts: { model_not_granted: 150 } },
      },
    ]);
    await minuteLater();
    expect(together(grant)).toHaveLength(1);
    expect(running.upstream.requests).toEqual([]);
  });

  it('each is counted under its code', async () => {
    const access = await running.access();
    await ask(access, MOST_SINGLY);
    const { token } = access;
    const authorization = `Bearer ${token}`;
    for (let i = 0; i < 3; i += 1) await fetch(chat, { headers: { authorization } });
    for (let i = 0; i < 4; i += 1)
      await fetch(`${running.url}/v1/models/none`, { headers: { authorization } });
    await post(chat, token, '{"model":');
    await minuteLater();
    expect(singles(access.grant)).toHaveLength(MOST_SINGLY);
    expect(together(access.grant)).toMatchObject([
      { data: { counts: { method_not_allowed: 3, model_not_granted: 4, invalid_json: 1 } } },
    ]);
  });

  it('above a limit it is so as well, and what passed before stands in the log like ever', async () => {
    const access = await running.access({ limits: { requestsPerMinute: 1 } });
    expect(await ask(access, 1, HELLO)).toEqual({ '200 ok': 1 });
    expect(await ask(access, 250, HELLO)).toEqual({ '429 request_rate_limited': 250 });
    const { token, grant } = access;
    const late = await post(chat, token, HELLO);
    expect(Number(late.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(singles(grant)).toHaveLength(MOST_SINGLY);
    for (const one of singles(grant))
      expect(one).toMatchObject({
        reason: 'request_rate_limited',
        model: MODEL,
        data: { wanted: { tokens: expect.any(Number) as number } },
      });
    await minuteLater();
    expect(together(grant)).toMatchObject([{ data: { counts: { request_rate_limited: 151 } } }]);
    expect(running.sums(grant)).toMatchObject({ requestsSettled: 1, requestsReserved: 0 });
    expect(running.entries({ kind: 'request.intent', grant: grant.id })).toHaveLength(1);
  });

  it('that come at once it is so as well: nothing that was told is missing', async () => {
    const access = await running.access({ limits: { requestsPerMinute: 1 } });
    const { '429 request_rate_limited': refused = 0, ...others } = await ask(
      access,
      250,
      HELLO,
      250,
    );
    expect(others).toMatchObject({ '200 ok': 1 });
    await minuteLater();
    expect(singles(access.grant)).toHaveLength(MOST_SINGLY);
    expect(together(access.grant)).toMatchObject([
      { data: { counts: { request_rate_limited: refused - MOST_SINGLY } } },
    ]);
  });
});

describe('the first hundred', () => {
  it('are of each token by itself', async () => {
    const access = await running.access();
    const other = await running.tokenFor(access.person, access.grant);
    await ask(access, 130);
    await ask(other, 60);
    const of = (one: Access): number =>
      singles(access.grant).filter(({ token }) => token === idOf(one)).length;
    expect([of(access), of(other)]).toEqual([MOST_SINGLY, 60]);
    await minuteLater();
    expect(together(access.grant)).toMatchObject([
      { token: idOf(access), data: { counts: { model_not_granted: 30 } } },
    ]);
  });

  it('are there again in the next minute, before or after the last one was recorded', async () => {
    const access = await running.access();
    await ask(access, 103);
    clock.now += MINUTE - 1;
    await ask(access, 1);
    expect(singles(access.grant)).toHaveLength(MOST_SINGLY);
    clock.now += 1;
    await ask(access, 5);
    expect(singles(access.grant)).toHaveLength(MOST_SINGLY + 5);
    await minuteLater();
    await ask(access, 5);
    expect(singles(access.grant)).toHaveLength(MOST_SINGLY + 10);
    await minuteLater();
    expect(together(access.grant)).toMatchObject([{ data: { counts: { model_not_granted: 4 } } }]);
  });

  it('are not used up by requests that pass', async () => {
    const access = await running.access({ budgets: { requests: 150 } });
    const held = hold();
    running.upstream.respond(held);
    const passing = Array.from({ length: 150 }, async () =>
      (await post(chat, access.token, { ...HELLO, stream: true })).text(),
    );
    await eventually(() => expect(running.sums(access.grant)?.requestsReserved).toBe(150));
    expect(await ask(access, 110, HELLO)).toEqual({ '403 quota_exhausted': 110 });
    expect(singles(access.grant)).toHaveLength(MOST_SINGLY);
    held.release();
    await Promise.all(passing);
    await minuteLater();
    expect(together(access.grant)).toMatchObject([{ data: { counts: { quota_exhausted: 10 } } }]);
  });
});

describe('what was counted', () => {
  it('is counted on where the log could not take it', async () => {
    const access = await running.access();
    await ask(access, 105);
    const unlock = running.lockLog();
    try {
      expect(await ask(access, 5)).toEqual({ '403 model_not_granted': 5 });
      await minuteLater();
      expect(together(access.grant)).toEqual([]);
    } finally {
      unlock();
    }
    await eventually(() => expect(running.test.broker.store.isWritable).toBe(true));
    await ask(access, 107);
    await minuteLater();
    // In one entry or two: the broker tries by itself as well.
    const counts = together(access.grant).map(({ data }) => data?.['counts'] as object);
    const sum = counts.flatMap((of) => Object.values(of) as number[]).reduce((a, b) => a + b, 0);
    expect(sum).toBe(17);
  });

  it('is recorded when the broker stops', async () => {
    const dataDir = mkdtempSync(join(tmpdir(), 'sallyport-test-'));
    try {
      const stopping = await startRunningBroker({ dataDir });
      const { token } = await stopping.access();
      for (let i = 0; i < 120; i += 1)
        await post(`${stopping.url}/v1/chat/completions`, token, WRONG_MODEL);
      await stopping.close();
      const entries = readStored(dataDir, (data) => data.entries().map(({ entry }) => entry));
      expect(entries.filter(({ kind }) => kind === 'request.denied')).toHaveLength(MOST_SINGLY);
      expect(entries.slice(-2)).toMatchObject([
        { kind: 'request.denied_repeatedly', data: { counts: { model_not_granted: 20 } } },
        { kind: 'system.stopped' },
      ]);
    } finally {
      rmSync(dataDir, { recursive: true, force: true });
    }
  });
});
