/** What calls left is found by person, run and day as if all entries were looked through, wherever the index has come to. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { EntryDraft, EntryKind } from '../../src/core/audit/entry.ts';
import { dayNumber, dayOf, type CallFilter, type CallRow } from '../../src/store/call-index.ts';
import { DATABASE_FILE, openForWriting } from '../../src/store/database.ts';
import { Readers } from '../../src/store/readers.ts';
import { LocalWriter, anEntry, makeDataDirectory } from '../support/store.ts';

const UPGRADE = new URL('../../migrations/sqlite/0006_receipts.sql', import.meta.url);

const NOON = Date.parse('2026-05-31T12:00:00Z');
const DAY_MS = 86_400_000;

const KINDS: EntryKind[] = [
  'request.intent',
  'request.outcome',
  'request.denied',
  'request.answered',
  'request.denied_repeatedly',
  'token.issued',
  'audit.read',
];

interface Sample {
  kind: EntryKind;
  person: string | undefined;
  run: string | undefined;
  /** Days by which the clock stands apart from the first entry's. It may be set back. */
  days: number;
  tokens: number;
}

const samples = fc.array(
  fc.record({
    kind: fc.constantFrom(...KINDS),
    person: fc.constantFrom('per_a', 'per_b', undefined),
    run: fc.constantFrom('run_a', 'run_b', 'run_ab', undefined),
    days: fc.integer({ min: -2, max: 2 }),
    tokens: fc.nat(1000),
  }),
  { minLength: 200, maxLength: 700 },
);

const draftOf = ({ kind, person, run, tokens }: Sample): EntryDraft => ({
  ...anEntry(NOON).entry,
  kind,
  person,
  run,
  data: {
    // Names that other members have, where they must not be looked for.
    note: '"run":"run_x","usage":{"inputTokens":9}',
    inner: { run: 'run_y' },
    ...(kind === 'request.denied_repeatedly' ? { counts: { invalid_json: 3, over: tokens } } : {}),
    ...(kind === 'request.outcome'
      ? { usage: { inputTokens: tokens, outputTokens: tokens + 1, source: 'reported' } }
      : {}),
  },
});

/** What looking at every entry finds. */
function lookThrough(all: Sample[], size: number): CallRow[] {
  return all
    .slice(0, size)
    .map(({ kind, person, run, days, tokens }, index) => ({
      personId: person ?? '',
      runId: run ?? '',
      day: Math.floor((NOON + days * DAY_MS) / DAY_MS),
      index,
      kind: kind as CallRow['kind'],
      calls: kind === 'request.denied_repeatedly' ? tokens + 3 : 1,
      inputTokens: kind === 'request.outcome' ? tokens : 0,
      outputTokens: kind === 'request.outcome' ? tokens + 1 : 0,
    }))
    .filter(({ personId, kind }) => personId !== '' && KINDS.indexOf(kind) < 5)
    .toSorted(
      (a, b) =>
        compare(a.personId, b.personId) ||
        compare(a.runId, b.runId) ||
        a.day - b.day ||
        a.index - b.index,
    );
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

function logOf(all: Sample[]): Readers {
  const directory = makeDataDirectory();
  fill(directory, all);
  const readers = new Readers(join(directory, DATABASE_FILE));
  onTestFinished(() => readers.close());
  return readers;
}

function fill(directory: string, all: Sample[]): void {
  const writer = new LocalWriter(directory, NOON);
  for (const [id, sample] of all.entries()) {
    writer.now = NOON + sample.days * DAY_MS;
    const args = { entry: draftOf(sample) };
    const { answers } = writer.committer.commit([
      { id, name: 'recordEntry', args, notAfter: Infinity },
    ]);
    expect(answers).toEqual([{ id, value: { index: id } }]);
  }
}

describe('what calls left', () => {
  test('is found as by looking through the log, up to any size of it', () => {
    fc.assert(
      fc.property(samples, fc.double({ min: 0, max: 1, noNaN: true }), (all, part) => {
        const readers = logOf(all);
        const size = Math.floor(all.length * part);
        const calls = readers.calls(size);
        const wanted = lookThrough(all, size);
        const found = ['per_a', 'per_b'].flatMap((personId) =>
          [...calls.groups({ personId })].flatMap((group) => [...calls.rows(group, 0, 7)].flat()),
        );
        expect(found).toEqual(wanted);

        const [middle] = wanted.slice(Math.floor(wanted.length / 2));
        const { personId = 'per_a', runId = '', day = 0, index = 0 } = middle ?? {};
        const within = (which: object, from?: { runId: string; day: number }) =>
          [...calls.groups({ personId, ...which }, from)].flatMap((group) =>
            [...calls.rows(group, 0, 50)].flat(),
          );
        const own = wanted.filter((row) => row.personId === personId);
        expect(within({ runId })).toEqual(own.filter((row) => row.runId === runId));
        expect(within({ day })).toEqual(own.filter((row) => row.day === day));
        expect(within({ since: day })).toEqual(own.filter((row) => row.day >= day));
        expect(within({ runId, day })).toEqual(
          own.filter((row) => row.runId === runId && row.day === day),
        );
        expect(within({}, { runId, day })).toEqual(
          own.filter((row) => row.runId > runId || (row.runId === runId && row.day >= day)),
        );
        expect([...calls.rows({ personId, runId, day }, index, 3)].flat()).toEqual(
          own.filter((row) => row.runId === runId && row.day === day && row.index >= index),
        );
      }),
      { numRuns: 12 },
    );
  });

  test('is found in a log that is longer than what the index of searches takes together', () => {
    const drawn = fc.sample(samples, { numRuns: 30, seed: 7 }).flat();
    expect(drawn.length).toBeGreaterThan(8_500);
    const readers = logOf(drawn);
    for (const size of [4_096, 8_300, drawn.length]) {
      const calls = readers.calls(size);
      const wanted = lookThrough(drawn, size);
      const of = (which: Omit<CallFilter, 'personId'>): CallRow[] =>
        ['per_a', 'per_b'].flatMap((personId) =>
          [...calls.groups({ personId, ...which })].flatMap((group) =>
            [...calls.rows(group, 0, 100)].flat(),
          ),
        );
      const day = dayNumber('2026-05-30');
      expect(of({})).toEqual(wanted);
      expect(of({ runId: 'run_a' })).toEqual(wanted.filter(({ runId }) => runId === 'run_a'));
      expect(of({ runId: '' })).toEqual(wanted.filter(({ runId }) => runId === ''));
      expect(of({ day })).toEqual(wanted.filter((row) => row.day === day));
      expect(of({ since: day })).toEqual(wanted.filter((row) => row.day >= day));
    }
  });

  test('is what an upgrade writes of the entries that it finds', () => {
    const drawn = fc.sample(samples, { numRuns: 3, seed: 11 }).flat();
    const directory = makeDataDirectory();
    fill(directory, drawn);
    const db = openForWriting(join(directory, DATABASE_FILE));
    const rows = (): unknown[] => db.prepare('SELECT * FROM calls_of_steps').all();
    const written = rows() as { entries: string }[];
    const [, upgrade = ''] = readFileSync(UPGRADE, 'utf8').split('STRICT, WITHOUT ROWID;');
    db.exec(`DELETE FROM calls_of_steps; ${upgrade}`);
    const unpacked = (all: unknown[]): unknown[] =>
      (all as { entries: string }[]).map(({ entries, ...group }) => ({
        ...group,
        entries: (JSON.parse(entries) as number[][]).map(([place, kind, ...more]) =>
          more.length === 0 ? [place, kind, 1, 0, 0] : [place, kind, ...more],
        ),
      }));
    expect(written.length).toBeGreaterThan(20);
    expect(unpacked(rows())).toEqual(unpacked(written));
    db.close();
  });

  test('is by days of UTC, written as RFC 3339 has them', () => {
    expect(dayOf(dayNumber('2026-05-31'))).toBe('2026-05-31');
    expect(dayNumber('1970-01-02')).toBe(1);
  });
});
