/** Calls to the writer thread have numbers, which are used again: each answer goes to whoever asked for it. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { RefusedError } from '../../src/core/denials.ts';
import { DATABASE_FILE } from '../../src/store/database.ts';
import type { ToWriter } from '../../src/store/thread-messages.ts';
import { HeldWriter } from '../support/held-writer.ts';
import {
  anEntry,
  entriesOf,
  makeDataDirectory,
  openThreadStore,
  tally,
  type ThreadStore,
} from '../support/store.ts';

const UNAVAILABLE = { refusal: { code: 'log_unavailable' } };

/** Numbers of the calls that went to the writer, in order. */
let numbers: number[];
let held: HeldWriter | undefined;

beforeEach(() => {
  numbers = [];
  // oxlint-disable-next-line typescript/unbound-method -- called with its worker
  const post = Worker.prototype.postMessage;
  vi.spyOn(Worker.prototype, 'postMessage').mockImplementation(function (
    this: Worker,
    message: ToWriter,
  ) {
    if (message.kind === 'calls') numbers.push(...message.calls.map(({ id }) => id));
    post.call(this, message);
  });
});
afterEach(() => {
  // Without this a test that fails would leave a thread that nobody can end.
  held?.release();
  vi.useRealTimers();
  vi.restoreAllMocks();
});

type Late = (value: { index: number }) => void;

const record = (it: ThreadStore, note: string, late?: Late): Promise<{ index: number }> =>
  it.store.write(
    'recordEntry',
    anEntry(Date.now(), { data: { note } }),
    late === undefined ? {} : { late },
  );

/** What stands at a place in the log. */
const noteAt = (it: ThreadStore, index: number | undefined): unknown =>
  entriesOf(it.readers).find((entry) => entry.index === index)?.data?.['note'];

describe('the number of a call', () => {
  test('is used again when it has been answered', async () => {
    const it = await openThreadStore(makeDataDirectory());
    for (let i = 0; i < 30; i += 1) await record(it, String(i));
    expect(new Set(numbers)).toEqual(new Set([1]));
    expect([it.store.waiting, it.store.begun]).toEqual([0, 30]);
  });

  test('is nobody else’s while it waits, and never that of checkpoints', async () => {
    const it = await openThreadStore(makeDataDirectory());
    for (let wave = 0; wave < 3; wave += 1) {
      numbers = [];
      await Promise.all(Array.from({ length: 50 }, (_, i) => record(it, String(i))));
      expect(numbers.toSorted((a, b) => a - b)).toEqual(
        Array.from({ length: 50 }, (_, i) => i + 1),
      );
    }
  });

  test('is used again after a refusal and after a failure', async () => {
    const it = await openThreadStore(makeDataDirectory());
    const entry = anEntry(Date.now());
    await it.write('recordEntry', entry);
    await expect(it.write('recordEntry', entry)).rejects.toThrow(/UNIQUE/);
    await expect(record(it, 'x'.repeat(70_000))).rejects.toMatchObject({
      refusal: { code: 'invalid_request' },
    });
    await expect(record(it, 'after')).resolves.toEqual({ index: 1 });
    expect(numbers).toEqual([1, 1, 1, 1]);
  });
});

/** What a call came to: `fails` by an id that is taken, `refused` for its length. */
function kindOf(error: unknown): unknown {
  if (error instanceof RefusedError)
    return error.refusal.code === 'invalid_request' ? 'refused' : error;
  return String(error).includes('UNIQUE') ? 'fails' : error;
}

test('whatever is asked in whichever order, everybody hears of their own', async () => {
  const it = await openThreadStore(makeDataDirectory());
  const taken = anEntry(Date.now());
  await it.write('recordEntry', taken);
  let made = 0;
  const what = fc.constantFrom('entry', 'entry', 'entry', 'fails', 'refused', 'pause');
  await fc.assert(
    fc.asyncProperty(fc.array(what, { minLength: 1, maxLength: 80 }), async (steps) => {
      const asked: Promise<unknown>[] = [];
      const places = new Map<number, string>();
      const due: string[] = [];
      for (const step of steps) {
        made += 1;
        const note = `note ${made}`;
        if (step === 'pause') await asked.at(-1);
        else due.push(step);
        if (step === 'entry')
          asked.push(
            record(it, note).then(({ index }) => {
              places.set(index, note);
              return 'entry';
            }),
          );
        else if (step === 'fails')
          asked.push(it.write('recordEntry', taken).catch((error: unknown) => kindOf(error)));
        else if (step === 'refused')
          asked.push(record(it, 'x'.repeat(70_000)).catch((error: unknown) => kindOf(error)));
      }
      expect(await Promise.all(asked)).toEqual(due);
      expect(it.store.waiting).toBe(0);
      expect(places.size).toBe(steps.filter((step) => step === 'entry').length);
      const log = new Map(entriesOf(it.readers).map(({ index, data }) => [index, data?.['note']]));
      for (const [index, note] of places) expect(log.get(index)).toBe(note);
    }),
    { numRuns: 30 },
  );
});

describe('a call that is overdue', () => {
  test('keeps its number until its answer has come; that goes to nobody else', async () => {
    const directory = makeDataDirectory();
    const disk = new HeldWriter(directory);
    held = disk;
    const it = await openThreadStore(directory, disk.thread, disk.settings);
    await record(it, 'before');
    numbers = [];
    const late = new Map<string, number[]>();
    const heard: Record<string, number | string> = {};
    const ask = async (note: string): Promise<void> => {
      late.set(note, []);
      try {
        const { index } = await record(it, note, (value) => late.get(note)?.push(value.index));
        heard[note] = index;
      } catch (error) {
        heard[note] = error instanceof RefusedError ? error.refusal.code : 'another failure';
      }
    };
    // The writer's clock goes on as it is: it begins what waited, late as it is.
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    disk.hold();
    const first = [ask('first')];
    await disk.isHanging();
    first.push(ask('second'), ask('third'));
    await new Promise((resolve) => setImmediate(resolve));
    vi.advanceTimersByTime(1_000);
    await Promise.all(first);
    expect(heard).toEqual({
      first: 'log_unavailable',
      second: 'log_unavailable',
      third: 'log_unavailable',
    });
    // These wait while the others' answers are still to come.
    const next = [ask('fourth'), ask('fifth')];
    expect(it.store.waiting).toBe(5);
    vi.useRealTimers();
    disk.release();
    await Promise.all(next);
    await vi.waitFor(() => expect(it.store.waiting).toBe(0));
    // None was answered before the last was given its number.
    expect(numbers.toSorted((a, b) => a - b)).toEqual([1, 2, 3, 4, 5]);
    for (const note of ['first', 'second', 'third']) {
      expect([note, heard[note], late.get(note)?.length]).toEqual([note, 'log_unavailable', 1]);
      expect(noteAt(it, late.get(note)?.[0])).toBe(note);
    }
    for (const note of ['fourth', 'fifth']) {
      expect(late.get(note)).toEqual([]);
      expect(noteAt(it, heard[note] as number)).toBe(note);
    }

    // All five numbers serve again, each answer for who asked.
    numbers = [];
    const notes = Array.from({ length: 5 }, (_, i) => `again ${i}`);
    await Promise.all(notes.map(ask));
    expect(numbers.toSorted((a, b) => a - b)).toEqual([1, 2, 3, 4, 5]);
    for (const note of notes) expect(noteAt(it, heard[note] as number)).toBe(note);
    expect([...late.values()].flat()).toHaveLength(3);
  });
});

test('whoever waits when the log is lost hears of it, and nobody is counted after that', async () => {
  const directory = makeDataDirectory();
  const it = await openThreadStore(directory);
  await record(it, 'before');
  let waiting: number | undefined;
  it.store.subscribe({
    onPolicyChanged: () => undefined,
    onFatal: () => (waiting = it.store.waiting),
  });
  rmSync(join(directory, DATABASE_FILE));
  // The first of them alone is in the commit that fails.
  const asked = Array.from({ length: 40 }, (_, i) => record(it, String(i)));
  expect(await tally(asked)).toEqual({ log_unavailable: 40 });
  expect([waiting, it.store.waiting]).toEqual([0, 0]);
  numbers = [];
  await expect(record(it, 'after')).rejects.toMatchObject(UNAVAILABLE);
  expect([it.store.waiting, numbers]).toEqual([0, []]);
});
