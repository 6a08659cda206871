/**
 * What the keeper of transcripts has said is stored is there after any kill, wherever it was by then; and what was destroyed
 * is nowhere.
 */
import Database from 'better-sqlite3';
import * as fc from 'fast-check';
import {
  copyFileSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { describe, expect, test, vi } from 'vitest';
import { TranscriptReader } from '../../src/store/transcripts/reader.ts';
import { HeldKeeper } from '../support/keeper.ts';

const body = (request: string): Record<string, string> => ({ [request]: `body of ${request}` });

const JOURNAL = 'transcripts.journal';

describe('bodies that are stored', () => {
  test('are in the journal alone at first, and in the database when they are carried over', () => {
    const held = new HeldKeeper();
    expect(held.store('a')).toMatchObject({ files: [{ bytes: 9, until: 1_000 }] });
    expect(held.found()).toEqual({});
    expect(held.keeper.backlogBytes).toBe(9);
    held.keeper.carryOver();
    expect(held.found()).toEqual(body('a'));
    expect(held.keeper.backlogBytes).toBe(0);
  });

  test('are there after a kill before they were carried over, and after a second one', () => {
    const held = new HeldKeeper();
    held.store('a', 'b');
    held.store('c');
    const again = held.killed();
    const all = { ...body('a'), ...body('b'), ...body('c') };
    expect(again.found()).toEqual(all);
    again.store('d');
    expect(again.killed().found()).toEqual({ ...all, ...body('d') });
  });

  test('are there after a kill in the middle of the write of the next ones, which are not', () => {
    const held = new HeldKeeper();
    held.store('a');
    held.store('b');
    const again = held.killed((path) => {
      const bytes = readFileSync(path(JOURNAL));
      bytes[bytes.lastIndexOf('body of b')] = 0;
      writeFileSync(path(JOURNAL), bytes);
    });
    expect(again.found()).toEqual(body('a'));
  });

  test('that are carried over are not taken over once more', () => {
    const held = new HeldKeeper();
    const journal = (): Buffer => readFileSync(held.path(JOURNAL));
    held.store('a');
    const before = journal();
    held.keeper.carryOver();
    expect(journal().equals(before)).toBe(true);
    expect(held.killed().found()).toEqual(body('a'));
  });

  test('for which the journal has no room go into the database, with what it holds', () => {
    const held = new HeldKeeper();
    held.store('a');
    held.storeBytes(['b'], () => 'x'.repeat(5 << 20));
    expect(Object.keys(held.found())).toEqual(['a', 'b']);
    held.store('c');
    expect(Object.keys(held.killed().found())).toEqual(['a', 'b', 'c']);
  });

  test('go into the database in place of the journal after one that failed', () => {
    const held = new HeldKeeper();
    held.store('a');
    held.journal.losesAppends = true;
    expect(held.store('refused')).toHaveProperty('failed');
    // Nobody was told that it is there, but it may be until the database has voided it.
    held.journal.losesAppends = false;
    expect(held.store('b')).toHaveProperty('files');
    const all = { ...body('a'), ...body('b') };
    expect(held.found()).toEqual(all);
    expect(held.killed().found()).toEqual(all);
  });

  test('do not follow in the journal on a commit that failed and may be on the disk', () => {
    const held = new HeldKeeper();
    held.store('a');
    const exec = held.db.exec.bind(held.db);
    const failing = vi.spyOn(held.db, 'exec').mockImplementation((sql) => {
      if (sql === 'COMMIT') throw new Error('input/output error');
      return exec(sql);
    });
    held.keeper.carryOver();
    failing.mockRestore();
    held.store('b');
    expect(held.found()).toEqual({ ...body('a'), ...body('b') });
  });
});

describe('a catch-up', () => {
  test('of nothing writes nothing', () => {
    const held = new HeldKeeper();
    const exec = vi.spyOn(held.db, 'exec');
    expect(held.catchUp()).toEqual({ id: 1, files: [] });
    expect(exec).not.toHaveBeenCalled();
  });

  test('after a failure tries the disk', () => {
    const held = new HeldKeeper();
    held.journal.losesAppends = true;
    held.store('refused');
    const exec = vi.spyOn(held.db, 'exec');
    expect(held.catchUp()).toHaveProperty('files');
    expect(exec).toHaveBeenCalledWith('COMMIT');
  });
});

describe('bodies that were destroyed', () => {
  test('are in no file: not the journal, not the database, not its write-ahead log', () => {
    const held = new HeldKeeper();
    held.store('in the database');
    held.keeper.carryOver();
    held.store('left over in the journal');
    expect(held.holds('body of')).toBe(true);
    expect(held.destroy()).toEqual({ id: 3, destroyed: { files: 2, more: false, open: 0 } });
    expect(held.holds('body of')).toBe(false);
    held.store('a');
    expect(held.killed().found()).toEqual(body('a'));
  });

  test('are not said to be destroyed while the journal still has them', () => {
    const held = new HeldKeeper();
    held.store('a');
    held.journal.cannotWipe = true;
    expect(held.destroy()).toHaveProperty('notErased');
    expect(held.destroy()).toHaveProperty('notErased');
    held.journal.cannotWipe = false;
    expect(held.destroy()).toHaveProperty('destroyed');
    expect(held.holds('body of')).toBe(false);
  });

  test('are not said to be destroyed while somebody reads the write-ahead log', () => {
    const held = new HeldKeeper();
    held.store('a');
    held.keeper.carryOver();
    const reader = new Database(held.path('transcripts.db'), { readonly: true });
    reader.exec('BEGIN');
    reader.prepare('SELECT count(*) FROM files').get();
    expect(held.destroy()).toHaveProperty('notErased');
    // What calls store meanwhile is stored, and does not wait for the reader.
    const checkpoints = vi.spyOn(held.db, 'pragma');
    expect(held.store('b')).toHaveProperty('files');
    expect(held.catchUp()).toHaveProperty('files');
    expect(checkpoints).not.toHaveBeenCalled();
    reader.close();
    expect(held.destroy()).toHaveProperty('destroyed');
    expect(held.holds('body of')).toBe(false);
  });

  test('are not all that there is while one is being written, and that goes once it is ended', () => {
    const held = new HeldKeeper();
    held.store('a');
    held.piece('long', { isFirst: true });
    expect(held.destroy()).toMatchObject({ destroyed: { files: 1, more: false, open: 1 } });
    expect(held.destroy()).toMatchObject({ destroyed: { files: 0, more: false, open: 1 } });
    expect(held.piece('long', { isLast: true })).toHaveProperty('files');
    expect(held.destroy()).toMatchObject({ destroyed: { files: 1, more: false, open: 0 } });
    expect(held.holds('piece of')).toBe(false);
  });

  test('are all that there is after a kill in the middle of one', () => {
    const held = new HeldKeeper();
    held.piece('long', { isFirst: true });
    expect(held.destroy()).toMatchObject({ destroyed: { open: 1 } });
    const again = held.killed();
    expect(again.destroy()).toMatchObject({ destroyed: { files: 1, open: 0 } });
    expect(again.holds('piece of')).toBe(false);
  });

  test('are nowhere after the next start, if the process was killed in between', () => {
    const held = new HeldKeeper();
    held.store('a');
    held.journal.cannotWipe = true;
    held.destroy();
    expect(held.holds('body of')).toBe(true);
    const again = held.killed();
    expect(again.found()).toEqual({});
    expect(again.holds('body of')).toBe(false);
  });
});

describe('a journal under the running keeper', () => {
  test.each([
    ['deleted', (path: string) => rmSync(path)],
    ['moved', (path: string) => renameSync(path, `${path}.old`)],
    [
      'replaced',
      (path: string) => {
        copyFileSync(path, `${path}.new`);
        renameSync(`${path}.new`, path);
      },
    ],
  ])('that is %s takes nothing any more, and nothing is lost', (_what, disturb) => {
    const held = new HeldKeeper();
    held.store('a');
    disturb(held.path(JOURNAL));
    const failed = `${held.path(JOURNAL)} was deleted or replaced while the broker was running.`;
    expect(held.store('refused')).toMatchObject({ failed });
    expect(held.catchUp()).toMatchObject({ failed });
    expect(held.found()).toEqual(body('a'));
    expect(held.store('refused as well')).toMatchObject({ failed });
    expect(held.killed().found()).toMatchObject(body('a'));
  });

  test('that is cut is noticed when it is carried over, with nothing lost', () => {
    const held = new HeldKeeper();
    held.store('a');
    truncateSync(held.path(JOURNAL), 0);
    expect(held.catchUp()).toMatchObject({
      failed: `${held.path(JOURNAL)} was cut while the broker was running.`,
    });
    expect(held.found()).toEqual(body('a'));
  });
});

test('a journal of a newer database is refused, with what to do', () => {
  const held = new HeldKeeper();
  held.keeper.carryOver();
  held.store('a');
  held.keeper.carryOver();
  held.store('b');
  expect(() =>
    held.killed((path) => ['', '-wal'].map((end) => rmSync(path(`transcripts.db${end}`)))),
  ).toThrow('goes on from a newer database than the one beside it');
});

/** What happens to a keeper, and what is true then: what was stored is there unless it was destroyed. */
const STEPS = ['store', 'carry over', 'kill', 'destroy', 'lose a commit'] as const;

test('whatever happens in whichever order, what was stored and not destroyed is there', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...STEPS), { maxLength: 20 }), (steps) => {
      let held = new HeldKeeper();
      let stored: Record<string, string> = {};
      let leftOver = false;
      for (const [n, step] of steps.entries()) {
        if (step === 'store') {
          held.store(`r${n}`);
          stored = { ...stored, ...body(`r${n}`) };
        } else if (step === 'carry over') held.keeper.carryOver();
        else if (step === 'kill') held = held.killed();
        else if (step === 'destroy') {
          held.destroy();
          stored = {};
          leftOver ||= held.holds('body of');
        } else {
          held.journal.losesAppends = true;
          held.store(`lost${n}`);
          held.journal.losesAppends = false;
          held.catchUp();
        }
      }
      expect(leftOver).toBe(false);
      expect(held.killed().found()).toEqual(stored);
    }),
    { numRuns: 25 },
  );
});

test('what was stored last is found by its order, whatever the clock said', () => {
  const held = new HeldKeeper();
  for (const [request, at] of [
    ['a', 1_000_000],
    ['b', 500],
    ['c', 0],
  ] as const)
    held.storeAt(request, at);
  held.keeper.carryOver();
  const reader = new TranscriptReader(held.path('transcripts.db'));
  expect(reader.lastRequests(2).toSorted()).toEqual(['b', 'c']);
  reader.close();
});
