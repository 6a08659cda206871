/** What a lying broker says of calls, held against receipts: every lie shows. */
import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import {
  holdReceipts,
  type HeldEntry,
  type HeldReceipt,
  type HeldStatement,
  type Holder,
} from '../../src/audit/hold-receipts.ts';
import type { ReceivedEntry } from '../../src/audit/verify-receipt.ts';

const ORIGIN = 'log.example/a';
const ME = 'per_me';
const DAY = '2026-05-31';
const asked: Holder = { self: ME, reach: 'self' };

const leafOf = (index: number): string =>
  createHash('sha256').update(String(index)).digest('base64');

function entry(index: number, kind: string, request: string | null): ReceivedEntry {
  const isOutcome = kind === 'request.outcome';
  return {
    index,
    leaf: leafOf(index),
    kind,
    committedAt: `${DAY}T12:00:00.000Z`,
    ref: request ?? undefined,
    lab: 'lab_mine',
    person: ME,
    run: 'run_1',
    refusals: kind === 'request.denied' ? 1 : kind === 'request.denied_repeatedly' ? 40 : 0,
    inputTokens: isOutcome ? 10 : 0,
    outputTokens: isOutcome ? 20 : 0,
  };
}

const receipt = (request: string, ...entries: ReceivedEntry[]): HeldReceipt => ({
  file: `${request}.receipt`,
  status: 'sound',
  of: { request },
  origin: ORIGIN,
  size: 50,
  entries,
});

/** Two calls that were passed on, one that was refused, and many that were recorded together. */
const entries = [
  entry(3, 'request.intent', 'req_a'),
  entry(4, 'request.outcome', 'req_a'),
  entry(5, 'request.intent', 'req_b'),
  entry(8, 'request.outcome', 'req_b'),
  entry(9, 'request.denied', 'req_c'),
  entry(12, 'request.denied_repeatedly', null),
];
const [a1, a2, b1, b2, c, many] = entries as [
  ReceivedEntry,
  ReceivedEntry,
  ReceivedEntry,
  ReceivedEntry,
  ReceivedEntry,
  ReceivedEntry,
];
const receipts = [receipt('req_a', a1, a2), receipt('req_b', b1, b2), receipt('req_c', c)];
const fetched = [{ ...receipt('', many), file: 'entry 12', of: { entry: 12 }, size: 60 }];

const listedOf = ({ index, leaf, kind, ref, person, run }: ReceivedEntry): HeldEntry => ({
  person: person ?? '',
  run: run ?? null,
  day: DAY,
  index,
  kind,
  request: ref ?? null,
  leaf,
});
const listed = entries.map(listedOf);

function statementOf(list: readonly HeldEntry[]): HeldStatement {
  const digest = createHash('sha256');
  for (const { leaf } of list) digest.update(Buffer.from(leaf, 'base64'));
  const count = (kind: string): number => list.filter((one) => one.kind === kind).length;
  return {
    person: ME,
    run: 'run_1',
    day: DAY,
    requests: count('request.intent'),
    outcomes: count('request.outcome'),
    answered: count('request.answered'),
    refusals: count('request.denied') + 40 * count('request.denied_repeatedly'),
    inputTokens: 20,
    outputTokens: 40,
    entries: list.length,
    first: list[0]?.index ?? 0,
    last: list.at(-1)?.index ?? 0,
    digest: digest.digest('base64'),
  };
}
const statement = statementOf(listed);

interface Said {
  size?: number;
  holder?: Holder;
  statements?: HeldStatement[];
  list?: HeldEntry[];
  kept?: HeldReceipt[];
  together?: HeldReceipt[];
}

const hold = ({ size = 50, holder = asked, statements = [statement], ...said }: Said = {}) => {
  const { list = listed, kept = receipts, together = fetched } = said;
  return holdReceipts({ origin: ORIGIN, size }, holder, statements, list, kept, together);
};

const NOTHING_WRONG = {
  again: [],
  newer: [],
  behind: undefined,
  others: 0,
  beyond: [],
  notCounted: [],
  withoutReceipt: [],
  unsound: [],
  contradictions: [],
};

describe('a statement held against receipts', () => {
  it('of an honest broker agrees with all of them', () => {
    expect(hold()).toEqual({ ...NOTHING_WRONG, agreeing: 3, together: 1 });
  });

  it('as of an earlier checkpoint than receipts show says that the log went back', () => {
    const held = hold({ size: 2, statements: [], list: [], together: [] });
    expect(held).toMatchObject({ behind: 50, agreeing: 0 });
    expect(new Set(held.newer).size).toBe(3);
    expect(hold({ size: 49 }).behind).toBe(50);
  });

  it('counts nothing as the calls of others on the word of the broker', () => {
    for (const reach of ['self', 'all', { lab: 'lab_other' }] as const) {
      const held = hold({ holder: { self: ME, reach }, statements: [], list: [], together: [] });
      expect(held).toMatchObject({ others: 0, beyond: [], agreeing: 0 });
      expect(held.notCounted).toHaveLength(5);
    }
    // Those of somebody else could not be held, which is not sound either.
    const hers = receipts.map((one) => ({
      ...one,
      entries: one.entries.map((shown) => ({ ...shown, person: 'per_she' })),
    }));
    const held = hold({ kept: hers, statements: [], list: [], together: [] });
    expect(held).toMatchObject({ others: 0, notCounted: [], agreeing: 0 });
    expect(new Set(held.beyond).size).toBe(3);
    // Unless they were not asked for.
    const mine = { ...asked, person: ME };
    expect(hold({ holder: mine, kept: [...receipts, ...hers] })).toMatchObject({
      others: 3,
      beyond: [],
      agreeing: 3,
    });
  });

  it.each<[string, Partial<HeldStatement>, string]>([
    ['requests', { requests: 3 }, 'counts otherwise'],
    ['outcomes', { outcomes: 1 }, 'counts otherwise'],
    ['lists of models', { answered: 1 }, 'counts otherwise'],
    ['refusals', { refusals: 500 }, 'counts 500 refusals, and its entries show 41'],
    ['tokens in', { inputTokens: 1e9 }, 'tokens in'],
    ['tokens out', { outputTokens: 39 }, 'tokens in'],
    ['entries', { entries: 7 }, 'is not over the entries'],
    ['the first entry', { first: 2 }, 'does not begin or end'],
    ['the last entry', { last: 13 }, 'does not begin or end'],
    ['the digest', { digest: leafOf(1) }, 'is not over the entries'],
    ['the day', { day: '2026-06-01' }, 'of which it made no statement'],
    ['the run', { run: null }, 'of which it made no statement'],
    ['the person', { person: 'per_she' }, 'of which it made no statement'],
  ])('with another number of %s is contradicted', (_name, said, problem) => {
    const { contradictions } = hold({ statements: [{ ...statement, ...said }] });
    expect(contradictions.join(' ')).toContain(problem);
  });

  it('that lists a leaf more than once is contradicted', () => {
    const [first] = listed;
    const list = [first!, first!, first!, ...listed];
    const statements = [statementOf(list)];
    expect(hold({ list, statements }).contradictions.join(' ')).toContain('lists entry 3 twice');
    const turned = listed.toReversed();
    expect(
      hold({ list: turned, statements: [statementOf(turned)] }).contradictions.join(' '),
    ).toContain('out of the order');
  });

  it.each<[string, Partial<HeldEntry>]>([
    ['person', { person: 'per_she' }],
    ['run', { run: 'run_2' }],
    ['day', { day: '2026-06-01' }],
  ])('that lists entries under another %s is contradicted', (_name, said) => {
    const list = listed.map((one) => ({ ...one, ...said }));
    const { contradictions } = hold({ list, statements: [{ ...statement, ...said }] });
    expect(contradictions.join(' ')).toContain(
      'a receipt shows that it is request.intent of per_me',
    );
  });

  it('that lists entries as others than they are is contradicted', () => {
    const answered = (one: HeldEntry): HeldEntry =>
      one.index === 9 ? { ...one, kind: 'request.answered' } : one;
    const list = listed.map(answered);
    expect(hold({ list, statements: [statementOf(list)] }).contradictions.join(' ')).toContain(
      'lists entry 9 as request.answered',
    );
    const ofOther = listed.map((one) => (one.index === 9 ? { ...one, request: 'req_z' } : one));
    expect(hold({ list: ofOther }).contradictions).toHaveLength(1);
  });

  it('of more than was asked for is contradicted', () => {
    const { contradictions } = hold({ holder: { ...asked, day: '2026-06-01' } });
    expect(contradictions.join(' ')).toContain('which was not asked for');
    expect(hold({ statements: [statement, statement] }).contradictions.join(' ')).toContain(
      'two statements',
    );
  });

  it('counts the same receipt once', () => {
    const copy = { ...receipts[0]!, file: 'copy.receipt' };
    expect(hold({ kept: [...receipts, copy] })).toMatchObject({
      agreeing: 3,
      again: ['copy.receipt'],
    });
  });

  it('agrees where the broker cannot name the request of an entry that was pruned', () => {
    const pruned = listed.map((one) => ({ ...one, request: null }));
    expect(hold({ list: pruned })).toEqual(hold());
    const renamed = listed.map((one) => ({ ...one, request: one.request && 'req_z' }));
    expect(hold({ list: renamed }).contradictions).toHaveLength(5);
  });

  it('names what no receipt shows, those recorded together included', () => {
    expect(hold({ together: [] }).withoutReceipt).toMatchObject([{ index: 12 }]);
    const held = hold({ kept: receipts.slice(1) });
    expect(held.withoutReceipt.map(({ index }) => index)).toEqual([3, 4]);
    // What is not shown may add to the tokens, and not take from them.
    expect(held.contradictions).toEqual([]);
    const less = [{ ...statement, inputTokens: 9 }];
    expect(hold({ kept: receipts.slice(1), statements: less }).contradictions).toHaveLength(1);
  });

  it('of another log agrees with nothing', () => {
    const kept = receipts.map((one) => ({ ...one, origin: 'log.example/b' }));
    expect(hold({ kept })).toMatchObject({ agreeing: 0 });
    expect(hold({ kept }).notCounted).toHaveLength(5);
  });
});
