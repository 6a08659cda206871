/** Which cosignatures are kept, and which checkpoint they make the newest witnessed one. */
import { generateKeyPairSync } from 'node:crypto';
import Database from 'better-sqlite3';
import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { formatWitnessKey } from '../../src/core/audit/cosignature.ts';
import { anyOf, isEnough, type WitnessPolicy } from '../../src/core/audit/witnessing.ts';
import type { WriterContext } from '../../src/store/context.ts';
import { withDrizzle, type Db } from '../../src/store/database.ts';
import { migrate } from '../../src/store/migrations.ts';
import { keepCosignature } from '../../src/store/operations/witnesses.ts';
import { checkpoints, cosignatures } from '../../src/store/schema.ts';
import { lastCosignature, newestWitnessed } from '../../src/store/witness-rows.ts';

const witnesses = ['a', 'b', 'c'].map((name) => {
  const { privateKey } = generateKeyPairSync('ed25519');
  return { name, verifierKey: formatWitnessKey(name, privateKey) };
});
const keyOf = (wanted: string): string =>
  witnesses.find(({ name }) => name === wanted)?.verifierKey ?? '';
const both = anyOf(witnesses.slice(0, 2), 2);

function newLog(): { db: Db; signs: (name: string, size: number) => boolean } {
  const connection = new Database(':memory:');
  migrate(connection);
  const db = withDrizzle(connection);
  const signs = (name: string, size: number, policy: WitnessPolicy = both): boolean => {
    db.insert(checkpoints)
      .values({ size, note: `text ${size}\n\nsigned\n`, at: size })
      .onConflictDoNothing()
      .run();
    const one = { size, text: `text ${size}\n`, witnessKey: keyOf(name), line: `${name}\n` };
    const context = { db } as WriterContext;
    return keepCosignature.run(context, { ...one, signedAt: size, at: size, policy }).isKept;
  };
  return { db, signs };
}

it('the newest witnessed checkpoint stays, however long one of those who are needed is down, and what is kept is bounded', () => {
  const { db, signs } = newLog();
  for (const size of [1, 2, 3]) for (const name of ['a', 'b']) signs(name, size);
  for (let size = 4; size < 1_150; size += 1) signs('a', size);
  expect(newestWitnessed(db, both)?.note).toBe('text 3\n\nsigned\na\nb\n');
  expect(db.select().from(cosignatures).all().length).toBe(1_000 + 1 + 3);
  expect(lastCosignature(db, keyOf('b'))?.size).toBe(3);
  // It comes back, and signs what the other one signed some time ago.
  signs('b', 200);
  expect(newestWitnessed(db, both)?.size).toBe(200);
  for (let size = 1_150; size < 1_250; size += 1) signs('a', size);
  expect(newestWitnessed(db, both)?.size).toBe(200);
  expect(db.select().from(cosignatures).all().length).toBe(1_000 + 1 + 4);
});

it('is the largest of those that enough cosigned, whoever cosigned which', () => {
  const signed = fc.array(
    fc.record({ name: fc.constantFrom('a', 'b', 'c'), size: fc.integer({ min: 1, max: 700 }) }),
    { maxLength: 60 },
  );
  fc.assert(
    fc.property(signed, fc.integer({ min: 1, max: 3 }), (lines, needed) => {
      const { db, signs } = newLog();
      const policy = anyOf(witnesses, needed);
      for (const { name, size } of lines) signs(name, size);
      const namesOf = (size: number): Set<string> =>
        new Set(lines.filter((line) => line.size === size).map(({ name }) => name));
      const enough = lines
        .map(({ size }) => size)
        .filter((size) => isEnough(policy.quorum, namesOf(size)));
      const largest = enough.length === 0 ? undefined : Math.max(...enough);
      expect(newestWitnessed(db, policy)?.size).toBe(largest);
      db.$client.close();
    }),
    { numRuns: 40 },
  );
});

it('a cosignature of a checkpoint that is not ours is not kept, and that is said', () => {
  const { db, signs } = newLog();
  expect(signs('a', 5)).toBe(true);
  const other = { size: 5, text: 'other\n', witnessKey: keyOf('b'), line: 'b\n' };
  const kept = keepCosignature.run({ db } as WriterContext, {
    ...other,
    signedAt: 1,
    at: 1,
    policy: both,
  });
  expect(kept).toEqual({ isKept: false });
  expect(db.select().from(cosignatures).all().length).toBe(1);
});
