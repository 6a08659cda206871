/** What the journal makes durable is what a commit of the database would have: whenever the process is killed. */
import * as fc from 'fast-check';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Charged } from '../../src/core/limits.ts';
import { JOURNAL_FILE } from '../../src/store/journal.ts';
import {
  LocalWriter,
  anEntry,
  makeDataDirectory,
  makeWorld,
  reserveArgs,
  settleArgs,
  type World,
} from '../support/store.ts';

const NOW = 1_750_000_000_000;

let directory: string;
let writer: LocalWriter;
let world: World;

const open = (): void => {
  writer = new LocalWriter(directory, NOW, { journal: true });
};

/** Killed and started again. */
const restart = (): void => {
  writer.close();
  open();
};

beforeEach(async () => {
  directory = makeDataDirectory();
  open();
  world = await makeWorld(writer.write, NOW);
});

const anyReserve = (): ReturnType<typeof reserveArgs> =>
  reserveArgs(world, { epoch: writer.context.epoch, at: NOW });

const used = { tokens: 40, spendNanoUsd: 400 };

const rows = (sql: string): unknown[] => writer.context.db.$client.prepare(sql).all();

const charged = (): Charged =>
  writer.context.ledger.charged({ grantId: world.grant.id, personId: '' });

test('a request goes into the journal, and into the database when it is carried over', async () => {
  const before = writer.entries().length;
  const args = anyReserve();
  const reserved = writer.commit(writer.call('reserve', args));
  expect(reserved).toMatchObject({ wrote: true, isBehind: true });
  expect(writer.entries()).toHaveLength(before);
  expect(writer.context.size).toBe(before + 1);
  await writer.write('settle', settleArgs(args.facts.requestId, NOW, used));
  const caughtUp = writer.commit(writer.call('catchUp', {}));
  expect(caughtUp).toMatchObject({ wrote: true, isBehind: false });
  expect(writer.entries().slice(before)).toMatchObject([
    { index: before, kind: 'request.intent', ref: args.facts.requestId },
    { index: before + 1, kind: 'request.outcome', ref: args.facts.requestId },
  ]);
  expect(rows('SELECT state, tokens_charged, salt FROM requests')).toEqual([
    { state: 'settled', tokens_charged: 40, salt: Buffer.from(args.salt, 'base64') },
  ]);
});

test('anything else carries it over first: the order of the log is the order of commits', async () => {
  const { size } = writer.context;
  await writer.write('reserve', anyReserve());
  const { isBehind, answers } = writer.commit(
    writer.call('reserve', anyReserve()),
    writer.call('recordEntry', anEntry(NOW)),
  );
  expect(isBehind).toBe(false);
  expect(answers).toMatchObject([
    { value: { intentIndex: size + 1 } },
    { value: { index: size + 2 } },
  ]);
  expect(writer.entries().slice(size)).toMatchObject([
    { index: size, kind: 'request.intent' },
    { index: size + 1, kind: 'request.intent' },
    { index: size + 2, kind: 'audit.read' },
  ]);
});

test('a refusal is on record in the journal as well', async () => {
  const limits = { tokensPerMinute: 1 };
  const refused = reserveArgs(world, { epoch: writer.context.epoch, at: NOW, limits });
  await expect(writer.write('reserve', refused)).rejects.toMatchObject({
    refusal: { code: 'request_too_large_for_limit' },
  });
  restart();
  expect(writer.entries().at(-1)).toMatchObject({
    kind: 'request.denied',
    ref: refused.facts.requestId,
  });
  expect(writer.count('requests')).toBe(0);
});

describe('what an operation cannot do in the journal', () => {
  test('settle what is settled: it is told so, carried over or not', async () => {
    const args = anyReserve();
    await writer.write('reserve', args);
    const settle = (): Promise<unknown> =>
      writer.write('settle', settleArgs(args.facts.requestId, NOW, used));
    await settle();
    await expect(settle()).rejects.toMatchObject({ refusal: { code: 'already_decided' } });
    await expect(settle()).rejects.toMatchObject({ refusal: { code: 'already_decided' } });
    expect(charged()).toMatchObject({ requestsSettled: 1, tokensSettled: 40 });
  });

  test('settle what another process admitted', async () => {
    const args = anyReserve();
    await writer.write('reserve', args);
    restart();
    const settled = writer.write('settle', settleArgs(args.facts.requestId, NOW, used));
    await expect(settled).resolves.toMatchObject({ outcomeIndex: writer.context.size - 1 });
    expect(charged()).toMatchObject({ requestsReserved: 0, requestsSettled: 1 });
  });

  test('sums that no ledger can hold fail by themselves, and the others of the batch stand', () => {
    const args = anyReserve();
    const { answers } = writer.commit(
      writer.call('reserve', args),
      writer.call(
        'settle',
        settleArgs(args.facts.requestId, NOW, { tokens: 1.5, spendNanoUsd: 1 }),
      ),
      writer.call('settle', settleArgs(args.facts.requestId, NOW, used)),
    );
    expect(answers).toMatchObject([
      { value: { stale: false } },
      { failed: expect.stringContaining('1.5') as string },
      { value: {} },
    ]);
    restart();
    expect(charged()).toMatchObject({ requestsSettled: 1, requestsReserved: 0, tokensSettled: 40 });
  });
});

describe('what the database would refuse only when it is carried over', () => {
  test('fails before anybody is answered: an id that is taken', async () => {
    const args = anyReserve();
    await writer.write('reserve', args);
    const settled = settleArgs(args.facts.requestId, NOW, used);
    await expect(writer.write('settle', { ...settled, entryId: args.entryId })).rejects.toThrow(
      /already/,
    );
    await writer.write('settle', settled);
    restart();
    expect(charged()).toMatchObject({ requestsReserved: 0, requestsSettled: 1 });
  });

  test('fails before anybody is answered: a person or a grant that there is not', async () => {
    const args = anyReserve();
    for (const unknown of [{ personId: 'per_nobody' }, { grantId: 'grt_none' }]) {
      const facts = { ...args.facts, ...unknown };
      await expect(writer.write('reserve', { ...args, facts })).rejects.toThrow(
        /There is no grant/,
      );
    }
    restart();
    expect(writer.count('requests')).toBe(0);
  });
});

describe('a journal that fails', () => {
  const { fdatasyncSync } = fs;

  afterEach(() => {
    fs.fdatasyncSync = fdatasyncSync;
    syncBuiltinESMExports();
  });

  const breakDisk = (): void => {
    fs.fdatasyncSync = () => {
      throw new Error('EIO');
    };
    syncBuiltinESMExports();
  };

  test('fails its commit as a whole; the database takes what comes for a while', async () => {
    const { size } = writer.context;
    const args = anyReserve();
    breakDisk();
    const failed = writer.commit(writer.call('reserve', args));
    expect(failed.answers).toMatchObject([{ refused: { code: 'log_unavailable' } }]);
    expect(failed.why).toMatch(/journal could not be written/);
    expect(writer.context.size).toBe(size);
    for (let i = 0; i < 5; i += 1) {
      const done = writer.commit(writer.call('reserve', anyReserve()));
      expect(done).toMatchObject({ answers: [{ value: { stale: false } }], isBehind: false });
    }
    // The frame that failed is on the disk, and void.
    restart();
    expect(writer.context.size).toBe(size + 5);
    expect(writer.count('requests')).toBe(5);
  });

  test('is tried again later', () => {
    breakDisk();
    writer.commit(writer.call('reserve', anyReserve()));
    fs.fdatasyncSync = fdatasyncSync;
    syncBuiltinESMExports();
    expect(writer.commit(writer.call('reserve', anyReserve())).isBehind).toBe(false);
    writer.now = NOW + 10_000;
    expect(writer.commit(writer.call('reserve', anyReserve())).isBehind).toBe(true);
  });

  test('leaves sums that were capped as they were', async () => {
    for (let i = 0; i < 12; i += 1) {
      const args = anyReserve();
      await writer.write('reserve', args);
      await writer.write('settle', settleArgs(args.facts.requestId, NOW, absurd));
    }
    const unsettled = anyReserve();
    await writer.write('reserve', unsettled);
    const before = charged();
    expect(before.spendSettledNanoUsd).toBe(Number.MAX_SAFE_INTEGER);
    breakDisk();
    writer.commit(writer.call('settle', settleArgs(unsettled.facts.requestId, NOW, absurd)));
    expect(charged()).toEqual(before);
  });

  /** What no upstream can have used, and one reported. */
  const absurd = { tokens: 1_000_000_000, spendNanoUsd: 9e18 };
});

test('a journal that is cut while it is in use stops the broker', async () => {
  await writer.write('reserve', anyReserve());
  fs.truncateSync(join(directory, JOURNAL_FILE), 0);
  const { fatal, answers } = writer.commit(writer.call('catchUp', {}));
  expect(fatal).toMatch(/was cut/);
  expect(answers).toMatchObject([{ refused: { code: 'log_unavailable' } }]);
});

describe('a process that is killed', () => {
  test('loses nothing that was answered, and does nothing twice', async () => {
    const kept = anyReserve();
    const ended = anyReserve();
    await writer.write('reserve', kept);
    await writer.write('reserve', ended);
    await writer.write('settle', settleArgs(ended.facts.requestId, NOW, used));
    const { size } = writer.context;
    restart();
    restart();
    expect(writer.context.size).toBe(size);
    expect(rows('SELECT id, state FROM requests ORDER BY state')).toEqual([
      { id: kept.facts.requestId, state: 'open' },
      { id: ended.facts.requestId, state: 'settled' },
    ]);
    expect(charged()).toMatchObject({ requestsReserved: 1, requestsSettled: 1, tokensSettled: 40 });
    // What is open is closed as it would have been.
    await writer.write('recoverUnfinished', { at: NOW, entryIds: [`ent_${'0'.repeat(26)}`] });
    expect(writer.entries().at(-1)).toMatchObject({
      ref: kept.facts.requestId,
      data: { end: 'unknown', charged: { tokens: 100 } },
    });
  });

  test('between two generations takes over what came after the last one', async () => {
    for (let generation = 0; generation < 3; generation += 1) {
      await writer.write('reserve', anyReserve());
      await writer.write('recordEntry', anEntry(NOW));
    }
    await writer.write('reserve', anyReserve());
    const { size } = writer.context;
    restart();
    expect(writer.context.size).toBe(size);
    expect(writer.count('requests')).toBe(4);
  });

  test('and whose database is an older one is not started', async () => {
    await writer.write('reserve', anyReserve());
    await writer.write('recordEntry', anEntry(NOW));
    await writer.write('reserve', anyReserve());
    writer.context.db.$client.exec("DELETE FROM meta WHERE key = 'journal_taken_over'");
    writer.close();
    expect(open).toThrow(/newer database/);
  });

  test('and whose journal goes on elsewhere is not started', async () => {
    await writer.write('reserve', anyReserve());
    const client = writer.context.db.$client;
    client.exec('DROP TRIGGER entries_are_removed_only_where_pruned');
    client.exec('DELETE FROM entries WHERE idx = (SELECT max(idx) FROM entries)');
    writer.close();
    expect(open).toThrow(/do not belong together/);
  });
});

describe('a commit of the database that fails', () => {
  const fill = (): void => {
    const client = writer.context.db.$client;
    client.pragma(`max_page_count = ${String(client.pragma('page_count', { simple: true }))}`);
  };
  const free = (): unknown => writer.context.db.$client.pragma('max_page_count = 1073741823');
  const big = (): ReturnType<LocalWriter['call']> =>
    writer.call('recordEntry', anEntry(NOW, { data: { note: 'x'.repeat(60_000) } }));

  test('leaves what the journal holds, and nothing more goes into the journal until one succeeds', async () => {
    const before = anyReserve();
    await writer.write('reserve', before);
    const { size } = writer.context;
    fill();
    const failed = writer.commit(...Array.from({ length: 20 }, big));
    expect(failed).toMatchObject({ wrote: false, isBehind: true });
    expect(writer.context.size).toBe(size);
    // It would fit into the journal, and is refused all the same: the database has to take what there is.
    const refused = Array.from({ length: 50 }, () => writer.call('reserve', anyReserve()));
    for (const answer of writer.commit(...refused).answers)
      expect(answer).toMatchObject({ refused: { code: 'log_unavailable' } });
    expect(charged()).toMatchObject({ requestsReserved: 1 });
    free();
    await writer.write('settle', settleArgs(before.facts.requestId, NOW, used));
    expect(writer.context.backlog.size).toBe(0);
    // The journal is in use again, from its beginning.
    const next = writer.commit(writer.call('reserve', anyReserve()));
    expect(next).toMatchObject({ wrote: true, isBehind: true });
    restart();
    expect(writer.context.size).toBe(size + 2);
    expect(charged()).toMatchObject({ requestsReserved: 1, requestsSettled: 1 });
  });
});

/** Everything that the database holds, but for where the journal stands. */
function account(of: LocalWriter): Record<string, unknown[]> {
  const read = (sql: string): unknown[] => of.context.db.$client.prepare(sql).all();
  const tables = ['requests', 'charges', 'usage_minutes', 'tiles', 'entries_by_ref'];
  return Object.fromEntries([
    ['entries', read('SELECT * FROM entries ORDER BY idx')],
    ...tables.map((table) => [table, read(`SELECT * FROM ${table} ORDER BY 1, 2`)]),
  ]) as Record<string, unknown[]>;
}

test('in any order and with any crashes, the database is what it would be without a journal', async () => {
  const step = fc.constantFrom('reserve', 'settle', 'refused', 'entry', 'catch up', 'crash');
  const batches = fc.array(fc.array(step, { minLength: 1, maxLength: 12 }), { maxLength: 40 });
  await fc.assert(
    fc.asyncProperty(batches, async (plan) => {
      const withJournal = makeDataDirectory();
      const without = makeDataDirectory();
      let one = new LocalWriter(withJournal, NOW, { journal: true });
      const other = new LocalWriter(without, NOW);
      // The same world: what is random is made once and given to both.
      const said: Parameters<typeof one.write>[] = [];
      world = await makeWorld(async (name, args) => {
        said.push([name, args] as never);
        return one.write(name, args);
      }, NOW);
      for (const [name, args] of said) await other.write(name, args);
      const opened: string[] = [];
      for (const batch of plan) {
        const calls: [string, unknown][] = [];
        for (const kind of batch) {
          const epoch = one.context.epoch;
          if (kind === 'reserve') {
            const args = reserveArgs(world, { epoch, at: NOW });
            opened.push(args.facts.requestId);
            calls.push(['reserve', args]);
          } else if (kind === 'settle' && opened.length > 0) {
            calls.push(['settle', settleArgs(opened.shift() as string, NOW, used)]);
          } else if (kind === 'refused') {
            const limits = { tokensPerMinute: 1 };
            calls.push(['reserve', reserveArgs(world, { epoch, at: NOW, limits })]);
          } else if (kind === 'entry') {
            const id = `ent_${randomBytes(13).toString('hex')}`;
            calls.push(['recordEntry', anEntry(NOW, { id })]);
          } else if (kind === 'catch up') calls.push(['catchUp', {}]);
        }
        for (const of of [one, other])
          of.commit(...calls.map(([name, args]) => of.call(name as never, args as never)));
        if (batch.includes('crash')) {
          one.close();
          one = new LocalWriter(withJournal, NOW, { journal: true });
          // Epochs begin anew with each process.
          while (one.context.epoch < other.context.epoch) one.context.epoch += 1;
        }
      }
      one.commit(one.call('catchUp', {}));
      expect(account(one)).toEqual(account(other));
      expect(one.context.ledger.charged({ grantId: world.grant.id, personId: '' })).toEqual(
        other.context.ledger.charged({ grantId: world.grant.id, personId: '' }),
      );
      one.close();
      other.close();
    }),
    { numRuns: 40 },
  );
});
