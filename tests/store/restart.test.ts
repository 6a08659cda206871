import * as fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import type { Limits, Budgets } from '../../src/core/limits.ts';
import { mintId } from '../../src/lib/ids.ts';
import { Ledger } from '../../src/store/ledger.ts';
import type { RequestIds } from '../../src/core/requests.ts';
import {
  LocalWriter,
  makeDataDirectory,
  makeWorld,
  reserveArgs,
  settleArgs,
  type ReserveInput,
  type World,
} from '../support/store.ts';

const NOW = 1_750_000_000_000;
const HOUR = 3_600_000;

let directory: string;
let writer: LocalWriter;
let world: World;

beforeEach(async () => {
  directory = makeDataDirectory();
  writer = new LocalWriter(directory, NOW);
  world = await makeWorld(writer.write, NOW);
});

/** The process ends, however, and another begins on the same data. */
function restart(): void {
  const { now } = writer;
  writer.close();
  writer = new LocalWriter(directory, now);
}

const reserve = async (input: Partial<ReserveInput> = {}): Promise<RequestIds> => {
  const args = reserveArgs(world, { epoch: writer.context.epoch, at: writer.now, ...input });
  const result = await writer.write('reserve', args);
  if (result.stale) throw new Error('stale');
  return args.facts;
};

const settle = (facts: RequestIds, tokens: number): Promise<unknown> =>
  writer.write(
    'settle',
    settleArgs(facts.requestId, writer.now, { tokens, spendNanoUsd: tokens * 10 }),
  );

const recover = (many: number): Promise<{ recovered: number; complete: boolean }> =>
  writer.write('recoverUnfinished', {
    at: writer.now,
    entryIds: Array.from({ length: many }, () => mintId('ent', writer.now)),
  });

const ofGrant = (): { grantId: string; personId: string } => ({
  grantId: world.grant.id,
  personId: '',
});

describe('a restart refills nothing', () => {
  test.each<[string, Partial<Limits>, Partial<Budgets>, string]>([
    ['requests per minute', { requestsPerMinute: 1 }, {}, 'request_rate_limited'],
    ['tokens per minute', { tokensPerMinute: 150 }, {}, 'token_rate_limited'],
    ['concurrent requests', { concurrent: 1 }, {}, 'concurrency_limited'],
    ['requests', {}, { requests: 1 }, 'quota_exhausted'],
    ['tokens', {}, { tokens: 150 }, 'budget_in_use'],
    ['requests a day', {}, { requestsPerDay: 1 }, 'quota_exhausted'],
    ['tokens a day', {}, { tokensPerDay: 150 }, 'budget_in_use'],
    ['spend', {}, { spendUsd: 1_500e-9 }, 'budget_in_use'],
  ])('%s', async (_name, limits, budgets, code) => {
    await reserve({ limits, budgets });
    restart();
    await expect(reserve({ limits, budgets })).rejects.toMatchObject({ refusal: { code } });
    // The same for the caps of one person.
    const perPerson = { limits, budgets };
    await expect(reserve({ perPerson })).rejects.toMatchObject({ refusal: { code } });
    await expect(reserve({ perPerson, person: world.secondResearcher })).resolves.toBeDefined();
  });

  test('what settled for less stays given back', async () => {
    const limits = { tokensPerMinute: 150 };
    const budgets = { tokens: 150, tokensPerDay: 150 };
    await settle(await reserve({ limits, budgets }), 50);
    restart();
    await expect(reserve({ limits, budgets })).resolves.toBeDefined();
    restart();
    await expect(reserve({ limits, budgets })).rejects.toMatchObject({
      refusal: { code: 'budget_in_use' },
    });
  });

  test('a minute and a day leave as they would have without it', async () => {
    await reserve({ budgets: { requestsPerDay: 1 } });
    restart();
    writer.now += 60_250;
    await expect(reserve({ limits: { requestsPerMinute: 1 } })).resolves.toBeDefined();
    writer.now += 24 * HOUR - 120_000;
    restart();
    await expect(reserve({ budgets: { requestsPerDay: 2 } })).rejects.toBeDefined();
    writer.now += 81_000;
    restart();
    await expect(reserve({ budgets: { requestsPerDay: 2 } })).resolves.toBeDefined();
  });

  test('at any moment the ledger reads from the database what it holds in memory', async () => {
    const step = fc.oneof(
      fc.record({ wait: fc.oneof(fc.nat(3_000), fc.nat(90_000), fc.nat(20 * HOUR)) }),
      fc.record({ tokens: fc.integer({ min: 1, max: 500 }), second: fc.boolean() }),
      fc.record({ settle: fc.nat(), share: fc.constantFrom(0, 0.5, 1, 1.5) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 30 }), async (steps) => {
        const open: { facts: RequestIds; tokens: number }[] = [];
        for (const one of steps) {
          if ('wait' in one) writer.now += one.wait;
          else if ('tokens' in one) {
            const person = one.second ? world.secondResearcher : world.researcher;
            const amount = { tokens: one.tokens };
            open.push({ facts: await reserve({ amount, person }), tokens: one.tokens });
          } else {
            const [done] = open.splice(one.settle % Math.max(1, open.length), 1);
            if (done) await settle(done.facts, Math.floor(done.tokens * one.share));
          }
        }
        for (const personId of ['', world.researcher, world.secondResearcher]) {
          const scope = { grantId: world.grant.id, personId };
          const numbers = (ledger: Ledger): unknown => {
            const { charged, minute, day } = ledger.use(scope, writer.now, { day: true });
            return {
              charged,
              minute: [minute.requests, minute.tokens, minute.msUntilTokensAtMost(0)],
              day: [day.requests, day.tokens, day.msUntilRequestsAtMost(0)],
            };
          };
          expect(numbers(writer.context.ledger)).toEqual(
            numbers(new Ledger(writer.context.db, () => undefined)),
          );
        }
      }),
      { numRuns: 40 },
    );
  });

  test('a busy day is read back whole, and its last minute with it', async () => {
    const facts = await reserve();
    const client = writer.context.db.$client;
    const columns = client
      .prepare('SELECT * FROM requests WHERE id = ?')
      .get(facts.requestId) as Record<string, unknown>;
    const names = Object.keys(columns);
    const insert = client.prepare(
      `INSERT INTO requests (${names.join()}) VALUES (${names.map((name) => `@${name}`).join()})`,
    );
    client.transaction(() => {
      for (let i = 1; i < 20_000; i += 1)
        insert.run({ ...columns, id: `req_${i}`, admitted_at: writer.now - i * 250 });
      client.exec(
        `DELETE FROM usage_minutes;
         INSERT INTO usage_minutes SELECT grant_id, admitted_at / 60000, person_id, count(*), sum(tokens_charged)
           FROM requests GROUP BY 1, 2, 3`,
      );
    })();
    restart();
    const { minute, day } = writer.context.ledger.use(ofGrant(), writer.now, { day: true });
    expect(day.requests).toBe(20_000);
    expect(minute.requests).toBe(241);
  });
});

describe('what was in flight when the process died', () => {
  test('is closed as unknown, at its full reservation', async () => {
    const left = await reserve({ amount: { tokens: 70, spendNanoUsd: 700 } });
    await settle(await reserve(), 10);
    restart();
    expect(await recover(10)).toEqual({ recovered: 1, complete: true });
    expect(writer.context.ledger.charged(ofGrant())).toEqual({
      requestsSettled: 2,
      requestsReserved: 0,
      tokensSettled: 80,
      tokensReserved: 0,
      spendSettledNanoUsd: 800,
      spendReservedNanoUsd: 0,
    });
    expect(writer.entries().at(-1)).toMatchObject({
      kind: 'request.outcome',
      ref: left.requestId,
      data: {
        end: 'unknown',
        usage: { source: 'reserved' },
        charged: { requests: 1, tokens: 70, spendNanoUsd: 700 },
        recovered: true,
      },
    });
    expect(
      writer.context.db.$client
        .prepare('SELECT state FROM requests WHERE id = ?')
        .pluck()
        .get(left.requestId),
    ).toBe('unknown');
  });

  test('is closed once, however often recovery runs or the late outcome comes', async () => {
    const left = await reserve();
    restart();
    await recover(10);
    const { size } = writer.context;
    const charged = writer.context.ledger.charged(ofGrant());
    restart();
    expect(await recover(10)).toEqual({ recovered: 0, complete: true });
    await expect(settle(left, 1)).rejects.toMatchObject({ refusal: { code: 'already_decided' } });
    expect(writer.context.size).toBe(size);
    expect(writer.context.ledger.charged(ofGrant())).toEqual(charged);
  });

  test('is closed a part at a time when there is much', async () => {
    for (let i = 0; i < 5; i += 1) await reserve();
    restart();
    expect(await recover(2)).toEqual({ recovered: 2, complete: false });
    // Whatever ends the process here, the rest is found again.
    restart();
    expect(await recover(2)).toEqual({ recovered: 2, complete: false });
    expect(await recover(2)).toEqual({ recovered: 1, complete: true });
    const outcomes = writer.entries().filter(({ kind }) => kind === 'request.outcome');
    expect(new Set(outcomes.map(({ ref }) => ref)).size).toBe(5);
  });

  test('still counts in its minute and day', async () => {
    await reserve();
    restart();
    await recover(10);
    await expect(reserve({ limits: { requestsPerMinute: 1 } })).rejects.toBeDefined();
    await expect(reserve({ budgets: { tokensPerDay: 150 } })).rejects.toBeDefined();
    restart();
    await expect(reserve({ limits: { requestsPerMinute: 1 } })).rejects.toBeDefined();
  });
});
