/** Known failure 2: what is charged is what was used, once; and what is left can be used to the last token. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  HELLO,
  codeOf,
  drain,
  errorOf,
  post,
  startRunningBroker,
  type RunningBroker,
} from '../support/running-broker.ts';
import { openaiJson, status } from '../support/scripted-upstream.ts';
import { accountOf, readStored, sumsOfRows, untilCarriedOver } from '../support/stored-log.ts';

const ASK = { ...HELLO, max_tokens: 100 };
const USAGE = { inputTokens: 11, outputTokens: 7 };

let running: RunningBroker;
beforeAll(async () => {
  running = await startRunningBroker();
});
afterEach(() => {
  running.checkUpstream();
  running.upstream.respond(openaiJson({ usage: USAGE }));
});
afterAll(() => running.close());

describe('known failure 2: phantom charges', () => {
  it('a GET costs nothing: neither budget nor limit, and nothing is left reserved', async () => {
    const { openai, anthropic, grant } = await running.access({
      budgets: { requests: 1, tokens: 300 },
      limits: { requestsPerMinute: 1, concurrent: 1 },
    });
    await Promise.all(
      Array.from({ length: 10 }, async () => {
        expect(await drain(openai.models.list())).not.toHaveLength(0);
        expect(await drain(anthropic.models.list())).not.toHaveLength(0);
        await openai.models.retrieve(HELLO.model);
      }),
    );
    expect(running.sums(grant)).toBeUndefined();
    await openai.chat.completions.create(ASK);
  });

  it('reservations that overlap come back whole: the last request that fits exactly passes', async () => {
    const reserve = await reservedFor();
    const requests = 20;
    const used = USAGE.inputTokens + USAGE.outputTokens;
    const { openai, grant } = await running.access({
      budgets: { tokens: (requests - 1) * used + reserve, requests },
    });
    for (let i = 0; i < requests; i += 1) await openai.chat.completions.create(ASK);
    expect(running.sums(grant)).toMatchObject({
      requestsSettled: requests,
      tokensSettled: requests * used,
      tokensReserved: 0,
    });
    expect(codeOf(await errorOf(openai.chat.completions.create(ASK)))).toBe('quota_exhausted');
  });

  it('one token less than a request reserves is one too few', async () => {
    const reserve = await reservedFor();
    const { openai } = await running.access({ budgets: { tokens: reserve - 1 } });
    expect(codeOf(await errorOf(openai.chat.completions.create(ASK)))).toBe('quota_exhausted');
  });

  it('log, rows and sums tell the same account of what overlapped, failed and was refused', async () => {
    const { token, grant } = await running.access({ limits: { concurrent: 20 } });
    let asked = 0;
    running.upstream.respond((req, res) => {
      asked += 1;
      const fails = asked % 3 === 0;
      return (fails ? status(500, { error: { message: 'No.' } }) : openaiJson({ usage: USAGE }))(
        req,
        res,
      );
    });
    const before = running.upstream.requests.length;
    const answers = await Promise.all(
      Array.from({ length: 120 }, async (_, i) => {
        const body = i % 5 === 0 ? { ...ASK, model: 'model-x' } : ASK;
        const answer = await post(`${running.url}/v1/chat/completions`, token, body);
        await answer.text();
        return answer.status;
      }),
    );
    const forwarded = running.upstream.requests.length - before;
    const completed = answers.filter((code) => code === 200).length;
    expect(completed).toBe(forwarded - Math.floor(forwarded / 3));
    untilCarriedOver(running.test.dataDir);
    const { log, rows, sums } = readStored(running.test.dataDir, (data) => ({
      log: accountOf(data.entries()),
      rows: sumsOfRows(data.requests()),
      sums: data.charges(),
    }));
    const expected = {
      requestsSettled: forwarded,
      requestsReserved: 0,
      tokensSettled: completed * (USAGE.inputTokens + USAGE.outputTokens),
      tokensReserved: 0,
      spendSettled: completed * (USAGE.inputTokens * 3_000 + USAGE.outputTokens * 15_000),
      spendReserved: 0,
    };
    for (const account of [log.sums, rows, sums])
      expect(account.get(`${grant.id} `)).toEqual(expected);
    expect(log.faults).toEqual([]);
  });
});

/** Tokens that a request for ASK reserves. */
async function reservedFor(): Promise<number> {
  const { openai, grant } = await running.access();
  await openai.chat.completions.create(ASK);
  const [intent] = running.entries({ kind: 'request.intent', grant: grant.id });
  return intent?.data?.reserved?.tokens ?? 0;
}
