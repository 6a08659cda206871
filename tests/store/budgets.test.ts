import { beforeEach, describe, expect, test } from 'vitest';
import { Readers } from '../../src/store/readers.ts';
import {
  LocalWriter,
  entriesOf,
  makeDataDirectory,
  makeWorld,
  openThreadStore,
  reserveArgs,
  settleArgs,
  tally,
  type ReserveInput,
  type ThreadStore,
  type World,
} from '../support/store.ts';

const NOW = Date.now();

describe('invariant 3: budgets hold, at once, through the writer thread', () => {
  let it: ThreadStore;
  let world: World;

  beforeEach(async () => {
    it = await openThreadStore(makeDataDirectory());
    world = await makeWorld(it.write, NOW);
  });

  /** Tries so many reservations at once; alternately for two people. Readers see what came of it. */
  const reserveAtOnce = async (
    many: number,
    input: Omit<ReserveInput, 'epoch' | 'at'>,
  ): ReturnType<typeof tally> =>
    tallyAndRead(
      Array.from({ length: many }, (_, i) =>
        it.store.write(
          'reserve',
          reserveArgs(world, {
            epoch: it.epoch(),
            at: NOW,
            person: i % 2 === 0 ? world.researcher : world.secondResearcher,
            ...input,
          }),
          // What is tested is who passes, not how fast this machine is.
          { deadlineMs: 20_000 },
        ),
      ),
    );

  const tallyAndRead = async (promises: Promise<unknown>[]): ReturnType<typeof tally> => {
    const counts = await tally(promises);
    await it.store.caughtUp();
    return counts;
  };

  /** What grant and people are charged, as the ledger has it. */
  const charged = (
    person = '',
  ): ReturnType<Readers['readCharges']>[number]['charged'] | undefined =>
    it.readers.readCharges(world.grant.id).find(({ personId }) => personId === person)?.charged;

  test.each([
    ['tokens', { tokens: 199 }, 'budget_in_use'],
    ['requests', { requests: 1 }, 'quota_exhausted'],
  ] as const)('of 1,000 on a budget of %s for one, one passes', async (_of, budgets, code) => {
    expect(await reserveAtOnce(1_000, { budgets })).toEqual({ passed: 1, [code]: 999 });
    const entries = entriesOf(it.readers);
    expect(entries.map(({ index }) => index)).toEqual(entries.map((_entry, i) => i));
    expect(entries.filter(({ kind }) => kind === 'request.intent')).toHaveLength(1);
    const denials = entries.filter(({ kind }) => kind === 'request.denied');
    expect(denials).toHaveLength(999);
    expect(new Set(denials.map(({ reason }) => reason))).toEqual(new Set([code]));
    expect(charged()).toMatchObject({ requestsReserved: 1, tokensReserved: 100 });
    expect(it.readers.openRequests()).toBe(1);
  });

  test('no more are in flight than the limit of concurrent requests', async () => {
    expect(await reserveAtOnce(200, { limits: { concurrent: 5 } })).toEqual({
      passed: 5,
      concurrency_limited: 195,
    });
    expect(it.readers.openRequests()).toBe(5);
  });

  test('no more pass in a minute than the limit of requests', async () => {
    expect(await reserveAtOnce(200, { limits: { requestsPerMinute: 7 } })).toEqual({
      passed: 7,
      request_rate_limited: 193,
    });
  });

  test('caps per person hold for each, the cap of the grant for all together', async () => {
    const perPerson = { budgets: { requests: 3 } };
    expect(await reserveAtOnce(40, { perPerson, budgets: { requests: 5 } })).toEqual({
      passed: 5,
      quota_exhausted: 35,
    });
    for (const person of [world.researcher, world.secondResearcher])
      expect(charged(person)?.requestsReserved).toBeLessThanOrEqual(3);
    expect(charged()?.requestsReserved).toBe(5);
  });

  test('two settlements of one request charge it once', async () => {
    const args = reserveArgs(world, { epoch: it.epoch(), at: NOW });
    await it.write('reserve', args);
    await it.store.caughtUp();
    const { requestId } = args.facts;
    const used = { tokens: 40, spendNanoUsd: 400 };
    const size = it.readers.logSize();
    expect(
      await tally([1, 2, 3].map(() => it.write('settle', settleArgs(requestId, NOW, used)))),
    ).toEqual({ passed: 1, already_decided: 2 });
    await it.store.caughtUp();
    expect(charged()).toMatchObject({ requestsSettled: 1, requestsReserved: 0, tokensSettled: 40 });
    expect(it.readers.logSize()).toBe(size + 1);
  });
});

describe('invariant 3: budgets hold, step by step', () => {
  let writer: LocalWriter;
  let world: World;

  beforeEach(async () => {
    writer = new LocalWriter(makeDataDirectory(), NOW);
    world = await makeWorld(writer.write, NOW);
  });

  const reserve = (input: Partial<ReserveInput> = {}): ReturnType<typeof reserveArgs> =>
    reserveArgs(world, { epoch: writer.context.epoch, at: writer.now, ...input });

  const charged = (person = ''): object =>
    writer.context.ledger.charged({ grantId: world.grant.id, personId: person });

  test('settling gives back what was reserved and not used', async () => {
    const budgets = { tokens: 150 };
    const first = reserve({ budgets });
    await writer.write('reserve', first);
    await expect(writer.write('reserve', reserve({ budgets }))).rejects.toMatchObject({
      refusal: { code: 'budget_in_use' },
    });
    await writer.write(
      'settle',
      settleArgs(first.facts.requestId, writer.now, { tokens: 50, spendNanoUsd: 500 }),
    );
    await expect(writer.write('reserve', reserve({ budgets }))).resolves.toMatchObject({
      stale: false,
    });
    expect(charged()).toEqual({
      requestsSettled: 1,
      requestsReserved: 1,
      tokensSettled: 50,
      tokensReserved: 100,
      spendSettledNanoUsd: 500,
      spendReservedNanoUsd: 1_000,
    });
    expect(charged(world.researcher)).toEqual(charged());
  });

  test('what was never forwarded leaves no charge and no trace in a window', async () => {
    const input = {
      limits: { requestsPerMinute: 1, tokensPerMinute: 100 },
      budgets: { requests: 1, tokens: 100, requestsPerDay: 1, tokensPerDay: 100, spendUsd: 1e-6 },
    };
    const first = reserve(input);
    await writer.write('reserve', first);
    await writer.write('settle', settleArgs(first.facts.requestId, writer.now, 'not_forwarded'));
    await expect(writer.write('reserve', reserve(input))).resolves.toMatchObject({ stale: false });
  });

  test('a request that used more than was reserved is charged for it, and marked', async () => {
    const first = reserve();
    await writer.write('reserve', first);
    const used = { tokens: 170, spendNanoUsd: 1_700 };
    await writer.write('settle', settleArgs(first.facts.requestId, writer.now, used));
    expect(charged()).toMatchObject({ tokensSettled: 170, tokensReserved: 0 });
    expect(writer.entries().at(-1)).toMatchObject({
      kind: 'request.outcome',
      data: { overrun: true, charged: { requests: 1, ...used } },
    });
  });

  test('a reservation whose intent cannot be recorded is not made', async () => {
    const tooMuch = reserve({ data: `"note":"${'x'.repeat(70_000)}"` });
    const before = charged();
    await expect(writer.write('reserve', tooMuch)).rejects.toMatchObject({
      refusal: { code: 'invalid_request' },
    });
    expect(charged()).toEqual(before);
    expect(writer.count('requests')).toBe(0);
    expect(writer.entries().at(-1)).toMatchObject({
      kind: 'request.denied',
      reason: 'invalid_request',
      ref: tooMuch.facts.requestId,
    });
    // Nor does it stay in the windows.
    const limits = { requestsPerMinute: 1 };
    await expect(writer.write('reserve', reserve({ limits }))).resolves.toMatchObject({
      stale: false,
      limits: { requests: { limit: 1, remaining: 0 } },
    });
  });

  test('a refusal whose caller sees to its record leaves no entry', async () => {
    const size = writer.entries().length;
    const refused = { ...reserve({ limits: { tokensPerMinute: 1 } }), recordRefusal: false };
    await expect(writer.write('reserve', refused)).rejects.toMatchObject({
      refusal: { code: 'request_too_large_for_limit' },
    });
    expect(writer.entries()).toHaveLength(size);
    expect(writer.count('requests')).toBe(0);
  });

  test('a reservation and its intent say the same', async () => {
    const args = reserve();
    await writer.write('reserve', args);
    const client = writer.context.db.$client;
    const row = client
      .prepare('SELECT state, requests, tokens_charged FROM requests WHERE id = ?')
      .get(args.facts.requestId);
    expect(row).toEqual({ state: 'open', requests: 1, tokens_charged: 100 });
    expect(writer.entries().at(-1)).toMatchObject({
      kind: 'request.intent',
      ref: args.facts.requestId,
      data: { reserved: { tokens: 100, spendNanoUsd: 1_000 } },
    });
  });

  test('the final refusal of one scope is told, not the wait of the other', async () => {
    await writer.write('reserve', reserve());
    const input = { limits: { requestsPerMinute: 1 }, perPerson: { budgets: { requests: 1 } } };
    await expect(writer.write('reserve', reserve(input))).rejects.toMatchObject({
      refusal: { code: 'quota_exhausted' },
    });
  });
});
