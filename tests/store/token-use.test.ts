/** The last use of tokens: noted in memory, written together, and lost by no failure of a write. */
import { describe, expect, onTestFinished, test } from 'vitest';
import { TokenUse } from '../../src/broker/token-use.ts';
import { RefusedError, refusal } from '../../src/core/denials.ts';
import { createLogger } from '../../src/lib/log.ts';
import type { Store } from '../../src/store/client.ts';
import { LocalWriter, makeDataDirectory, makeWorld } from '../support/store.ts';

type Uses = [string, number][];

/** A store that takes uses, as a test wants it to. */
function tokenUse(take: (uses: Uses) => Promise<void>): TokenUse {
  const write = (_name: string, { uses }: { uses: Uses }) => take(uses);
  const use = new TokenUse({
    store: { write } as unknown as Store,
    log: createLogger({ level: 'silent' }),
  });
  onTestFinished(() => use.close());
  return use;
}

const unavailable = () => Promise.reject(new RefusedError(refusal('log_unavailable')));

describe('what was noted', () => {
  test('is written once, in batches, and then no longer kept', async () => {
    const written: Uses[] = [];
    const use = tokenUse((uses) => {
      written.push(uses);
      return Promise.resolve();
    });
    for (let i = 0; i < 600; i += 1) use.note(`tok_${i % 300}`, i);
    await use.flush();
    expect(written.map((uses) => uses.length)).toEqual([250, 50]);
    expect(Object.fromEntries(written.flat())).toMatchObject({ tok_0: 300, tok_299: 599 });
    expect([...use.unwritten()]).toEqual([]);
    await use.flush();
    expect(written).toHaveLength(2);
  });

  test('stays known while it is being written, and later uses win', async () => {
    let finish = (): void => undefined;
    const use = tokenUse(() => new Promise((resolve) => (finish = resolve)));
    use.note('tok_a', 1);
    use.note('tok_b', 1);
    const flushed = use.flush();
    expect([use.lastUse('tok_a'), use.lastUse('tok_b')]).toEqual([1, 1]);
    use.note('tok_a', 2);
    expect(use.lastUse('tok_a')).toBe(2);
    expect(new Map(use.unwritten())).toEqual(new Map(Object.entries({ tok_a: 2, tok_b: 1 })));
    finish();
    await flushed;
    expect([use.lastUse('tok_a'), use.lastUse('tok_b')]).toEqual([2, undefined]);
    const last = use.flush();
    finish();
    await last;
  });

  test('survives a write that fails, what came in the meantime included', async () => {
    let isUp = false;
    const written: Uses = [];
    const use = tokenUse((uses) => {
      if (!isUp) {
        use.note('tok_a', 5);
        return unavailable();
      }
      written.push(...uses);
      return Promise.resolve();
    });
    use.note('tok_a', 1);
    use.note('tok_b', 2);
    await use.flush();
    expect([use.lastUse('tok_a'), use.lastUse('tok_b')]).toEqual([5, 2]);
    isUp = true;
    await use.flush();
    expect(Object.fromEntries(written)).toEqual({ tok_a: 5, tok_b: 2 });
  });

  test('is written when the broker stops, also what came during the last write', async () => {
    const written: Uses = [];
    const use = tokenUse((uses) => {
      if (written.length === 0) use.note('tok_b', 2);
      written.push(...uses);
      return Promise.resolve();
    });
    use.note('tok_a', 1);
    void use.flush();
    await use.close();
    expect(Object.fromEntries(written)).toEqual({ tok_a: 1, tok_b: 2 });
  });
});

test('in the store it never goes back, leaves no entry and changes no policy', async () => {
  const now = 1_750_000_000_000;
  const writer = new LocalWriter(makeDataDirectory(), now);
  const world = await makeWorld(writer.write, now);
  const { $client } = writer.context.db;
  $client
    .prepare(
      `INSERT INTO tokens (id, audience, person_id, lab_id, kid, issued_at, expires_at)
       VALUES ('tok_a', 'control', ?, ?, 'k', 1, 2)`,
    )
    .run(world.lead, world.partner);
  const [size, epoch] = [writer.context.size, writer.context.epoch];
  const uses: Uses = [
    ['tok_a', 7],
    ['tok_a', 5],
    ['tok_gone', 9],
  ];
  const { changes } = writer.commit(writer.call('noteTokenUse', { uses }));
  expect($client.prepare('SELECT last_used_at FROM tokens').pluck().all()).toEqual([7]);
  expect([writer.context.size, writer.context.epoch, changes]).toEqual([size, epoch, []]);
});
