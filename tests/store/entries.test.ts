import { beforeEach, describe, expect, test } from 'vitest';
import { MAX_ENTRY_BYTES } from '../../src/core/audit/entry.ts';
import { leafHash } from '../../src/core/audit/merkle.ts';
import { LocalWriter, ORIGIN, anEntry, makeDataDirectory } from '../support/store.ts';

const NOW = 1_750_000_000_000;

let writer: LocalWriter;

beforeEach(() => {
  writer = new LocalWriter(makeDataDirectory(), NOW);
});

const sql = (text: string): unknown => writer.context.db.$client.exec(text);

const stored = (): { idx: number; leaf: Buffer; bytes: Buffer }[] =>
  writer.context.db.$client.prepare('SELECT idx, leaf, bytes FROM entries ORDER BY idx').all() as {
    idx: number;
    leaf: Buffer;
    bytes: Buffer;
  }[];

describe('an entry', () => {
  test('is stored as the bytes that were hashed, on one line, with its place in them', async () => {
    await writer.write('recordEntry', anEntry(NOW, { data: { note: 'two\nlines — ünï' } }));
    writer.now += 5;
    await writer.write('recordEntry', anEntry(NOW));
    const rows = stored();
    expect(rows).toHaveLength(2);
    for (const [i, { idx, leaf, bytes }] of rows.entries()) {
      expect(leaf.equals(leafHash(bytes))).toBe(true);
      expect(bytes.includes('\n')).toBe(false);
      // Serialised once: what is read from it says the same again.
      const entry = JSON.parse(bytes.toString('utf8')) as object;
      expect(JSON.stringify(entry)).toBe(bytes.toString('utf8'));
      expect(entry).toMatchObject({ v: 1, log: ORIGIN, index: i, at: '2025-06-15T15:06:40.000Z' });
      expect(idx).toBe(i);
    }
    // When it happened and when the log took it are two things.
    expect(writer.entries()[1]).toMatchObject({ committedAt: '2025-06-15T15:06:40.005Z' });
  });

  test.each([
    ['changed', "UPDATE entries SET kind = 'x'"],
    ['changed in its bytes', "UPDATE entries SET bytes = x'00'"],
    ['moved', 'UPDATE entries SET idx = 7'],
    ['removed', 'DELETE FROM entries'],
    [
      'replaced',
      "REPLACE INTO entries (idx, id, kind, leaf, bytes) VALUES (0, 'x', 'x', x'00', x'00')",
    ],
    [
      'replaced by another of the same id',
      'REPLACE INTO entries SELECT 9, id, kind, ref, lab_id, person_id, grant_id, leaf, bytes FROM entries',
    ],
  ])('cannot be %s', async (_how, statement) => {
    await writer.write('recordEntry', anEntry(NOW));
    const before = stored();
    expect(() => sql(statement)).toThrow(/never (changed|removed)/);
    expect(stored()).toEqual(before);
  });

  test('has an id that no other has', async () => {
    const entry = anEntry(NOW);
    await writer.write('recordEntry', entry);
    await expect(writer.write('recordEntry', entry)).rejects.toThrow(/UNIQUE/);
    expect(stored()).toHaveLength(1);
  });
});

describe('an entry that is too large', () => {
  /** An entry of exactly so many bytes. */
  const ofSize = (bytes: number): ReturnType<typeof anEntry> => {
    const make = (note: string): ReturnType<typeof anEntry> =>
      anEntry(NOW, { id: `ent_${'0'.repeat(26)}`, data: { note } });
    const probe = new LocalWriter(makeDataDirectory(), NOW);
    probe.commit(probe.call('recordEntry', make('')));
    const [{ bytes: empty } = { bytes: Buffer.alloc(0) }] = probe.context.db.$client
      .prepare('SELECT bytes FROM entries')
      .all() as { bytes: Buffer }[];
    return make('x'.repeat(bytes - empty.length));
  };

  test('is refused; the largest that a bundle can hold is not', async () => {
    await expect(writer.write('recordEntry', ofSize(MAX_ENTRY_BYTES + 1))).rejects.toMatchObject({
      refusal: { code: 'invalid_request' },
    });
    expect(stored()).toHaveLength(0);
    await writer.write('recordEntry', ofSize(MAX_ENTRY_BYTES));
    expect(stored()[0]?.bytes.length).toBe(MAX_ENTRY_BYTES);
  });

  test('and says of a refusal, is recorded without its details', async () => {
    const orders = Array.from({ length: 3_000 }, (_, i) => `ord_${i}`.padEnd(30, '0'));
    for (const details of [{ data: { message: 'x'.repeat(70_000) } }, { orders }]) {
      const denial = anEntry(NOW, {
        kind: 'request.denied',
        decision: 'denied',
        reason: 'grant_suspended',
        ref: 'req_1',
        ...details,
      });
      await writer.write('recordEntry', denial);
      expect(writer.entries().at(-1)).toMatchObject({
        kind: 'request.denied',
        reason: 'grant_suspended',
        ref: 'req_1',
      });
    }
    expect(stored()).toHaveLength(2);
  });
});

describe('a checkpoint', () => {
  test.each([
    ['changed', "UPDATE checkpoints SET note = 'x'"],
    ['removed', 'DELETE FROM checkpoints'],
    ['replaced', "REPLACE INTO checkpoints (size, note, at) VALUES (1, 'x', 0)"],
  ])('cannot be %s', async (_how, statement) => {
    await writer.write('recordEntry', anEntry(NOW));
    const { note } = await writer.write('publishCheckpoint', { at: NOW });
    expect(() => sql(statement)).toThrow(/never (changed|removed)/);
    expect(await writer.write('publishCheckpoint', { at: NOW })).toEqual({ size: 1, note });
  });
});
