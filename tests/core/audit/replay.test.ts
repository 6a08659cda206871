import { describe, expect, it } from 'vitest';
import type { EntryDraft, EntryKind } from '../../../src/core/audit/entry.ts';
import { serialiseEntry, writeEntry } from '../../../src/core/audit/entry.ts';
import { toldAt } from '../../../src/core/audit/replay-report.ts';
import { replay } from '../../../src/core/audit/replay.ts';
import { nothingReplayed, type Replayed } from '../../../src/core/audit/replayed.ts';
import { HOUR, LEAD, NOW, PARTNER, RESEARCHER, aSpec, at, idOf } from '../../support/facts.ts';

const GRANT = idOf('grt', 'one');
const ORDER = idOf('ord', 'one');
const ADMIN = { person: idOf('per', 'admin'), lab: idOf('lab', 'host'), roles: ['admin'] };
const SAFETY = { person: idOf('per', 'safety'), lab: idOf('lab', 'host'), roles: ['safety'] };
const THE_LEAD = { person: LEAD.person.id, lab: PARTNER.id, roles: ['lead'] };

type Draft = Partial<EntryDraft> & { kind: EntryKind };

/** A log of these entries, a minute apart, replayed. */
function replayed(drafts: readonly Draft[], until?: number): Replayed {
  const state = nothingReplayed();
  for (const [index, draft] of drafts.entries()) {
    const moment = NOW + index * 60_000;
    const entry = {
      id: `ent_${index}`,
      at: moment,
      actor: { system: 'broker' as const },
      ...draft,
    };
    const place = { log: 'l', index, committedAt: moment, host: ADMIN.lab };
    if (!replay(state, serialiseEntry(writeEntry(entry), place), until)) break;
  }
  return state;
}

const { terms, ...rest } = aSpec({ window: { from: at(NOW - HOUR), until: at(NOW + 24 * HOUR) } });
const text = { spec: { ...rest, terms: { version: terms.version } }, termsDigest: 'd'.repeat(64) };
const about = { ref: GRANT, grant: GRANT, grantVersion: 1, lab: PARTNER.id };

/** A grant from its draft into force, as versions before 0.4 recorded it: without where it stood after each step. */
const BEFORE_04: Draft[] = [
  { kind: 'grant.created', actor: THE_LEAD, ...about, data: text },
  { kind: 'grant.submitted', actor: THE_LEAD, ...about, data: { state: 'submitted' } },
  { kind: 'grant.approved', actor: ADMIN, ...about, data: { state: 'submitted', as: 'admin' } },
  { kind: 'grant.approved', actor: SAFETY, ...about, data: { state: 'approved', as: 'safety' } },
  {
    kind: 'grant.terms_accepted',
    actor: THE_LEAD,
    ...about,
    data: { state: 'active', termsDigest: text.termsDigest, forLab: true },
  },
];

describe('a log of an older version', () => {
  it('tells how a grant came into force', () => {
    const told = toldAt(replayed(BEFORE_04), NOW + HOUR);
    expect(told.gaps).toEqual([]);
    expect(told.grants).toMatchObject([
      {
        grant: {
          id: GRANT,
          state: 'active',
          authorIds: [LEAD.person.id],
          approvalsNeeded: ['admin', 'safety'],
          approvals: [
            { personId: ADMIN.person, as: 'admin' },
            { personId: SAFETY.person, as: 'safety' },
          ],
          acceptedBy: [LEAD.person.id],
          acceptedForLabBy: LEAD.person.id,
        },
        standing: { status: 'active' },
      },
    ]);
  });

  it('tells of an order that it stops until somebody lifts it', () => {
    const data = { selector: { grant: GRANT }, grounds: 'x', authority: 'Safety', evidence: 'y' };
    const issued: Draft = { kind: 'order.issued', actor: SAFETY, ref: ORDER, data };
    const year = NOW + 8_760 * HOUR;
    const told = toldAt(replayed([...BEFORE_04, issued]), year);
    expect(told.orders).toMatchObject([
      { id: ORDER, level: 4, authority: { kind: 'officer', text: 'Safety' }, endedAt: null },
    ]);
    const lifted: Draft = {
      kind: 'order.lifted',
      actor: ADMIN,
      ref: ORDER,
      data: { grounds: 'z' },
    };
    const over = replayed([...BEFORE_04, issued, lifted]);
    expect(toldAt(over, year).orders).toEqual([]);
    expect(over.orders.get(ORDER)).toMatchObject({ endedBy: ADMIN.person, endGrounds: 'z' });
  });
});

describe('as of a moment', () => {
  it('the status is that of the moment, by the entries up to it', () => {
    const statusAt = (moment: number): string | undefined =>
      toldAt(replayed(BEFORE_04, moment), moment).grants[0]?.standing.status;
    expect(statusAt(NOW - 1)).toBeUndefined();
    expect(statusAt(NOW)).toBe('draft');
    expect(statusAt(NOW + 2 * 60_000)).toBe('submitted');
    expect(statusAt(NOW + 4 * 60_000)).toBe('active');
    expect(statusAt(NOW + 24 * HOUR)).toBe('expired');
  });

  it('an order about a safeguard stops what is at the endpoints that lifted it', () => {
    const started: Draft = {
      kind: 'system.started',
      data: {
        endpoints: [{ id: 'demo', models: [], safeguardsLifted: ['filter'] }],
        neverGrant: { endpoints: [], models: [], purposes: [] },
      },
    };
    const order = {
      selector: { safeguard: 'filter' },
      grounds: 'x',
      level: 4,
      measures: {},
      authority: { kind: 'officer' },
      lapsesAt: at(NOW + 12 * HOUR),
      reviewDueAt: null,
      lapsesUnreviewed: false,
    };
    const issued: Draft = { kind: 'order.issued', actor: SAFETY, ref: ORDER, data: order };
    const state = replayed([started, ...BEFORE_04, issued]);
    const statusAt = (moment: number): string | undefined =>
      toldAt(state, moment).grants[0]?.standing.status;
    expect(statusAt(NOW + HOUR)).toBe('suspended');
    // It lapses by itself, whether an entry says so or not.
    expect(statusAt(NOW + 12 * HOUR)).toBe('active');
  });
});

describe('what the log does not tell', () => {
  it('is said, and the rest goes on', () => {
    const state = replayed([
      { kind: 'system.started', data: { endpoints: [] } },
      { kind: 'grant.submitted', actor: THE_LEAD, ...about, data: { state: 'submitted' } },
      { kind: 'order.issued', actor: SAFETY, ref: ORDER, data: { grounds: 'x' } },
      { kind: 'grant.transferred' as EntryKind, ref: GRANT },
      ...BEFORE_04,
    ]);
    replay(state, Buffer.from('no JSON'));
    expect(state.gaps).toEqual([
      {
        index: 0,
        kind: 'system.started',
        why: 'It does not say what the configuration never grants.',
      },
      { index: 1, kind: 'grant.submitted', why: 'The grant is not in the log before.' },
      { index: 2, kind: 'order.issued', why: expect.stringContaining('cannot read') as string },
      {
        index: 3,
        kind: 'grant.transferred',
        why: expect.stringContaining('not know the kind') as string,
      },
      { index: 9, kind: '?', why: 'This version cannot read the entry.' },
    ]);
    expect(toldAt(state, NOW + HOUR).grants).toMatchObject([{ standing: { status: 'active' } }]);
  });

  it('of a grant whose text is missing, nothing is told but that', () => {
    const [created, ...later] = BEFORE_04;
    const amended: Draft = {
      kind: 'grant.amended',
      actor: THE_LEAD,
      ...about,
      grantVersion: 2,
      data: { termsDigest: text.termsDigest },
    };
    const second = later.map((draft) => ({ ...draft, grantVersion: 2 }));
    const told = toldAt(replayed([created as Draft, amended, ...second]), NOW + HOUR);
    expect(told.grants).toEqual([]);
    expect(told.gaps.map(({ index }) => index)).toEqual([1, 2, 3, 4, 5]);
    expect(told.gaps.at(-1)?.why).toContain('The text of');
  });
});

it('tokens end with what they rest on', () => {
  const token = (name: string, kid: string): Draft => ({
    kind: 'token.issued',
    ref: idOf('tok', name),
    token: idOf('tok', name),
    lab: PARTNER.id,
    person: RESEARCHER.person.id,
    grant: GRANT,
    purpose: 'hallucination',
    run: idOf('run', name),
    data: { audience: 'gateway', expiresAt: at(NOW + HOUR), kid, runName: name },
  });
  const person: Draft = {
    kind: 'person.created',
    person: RESEARCHER.person.id,
    lab: PARTNER.id,
    data: { name: 'R', roles: ['researcher'], kid: 'k1' },
  };
  const keyGone: Draft = {
    kind: 'person.key_removed',
    person: RESEARCHER.person.id,
    data: { kid: 'k1' },
  };
  const revoked: Draft = {
    kind: 'tokens.revoked',
    actor: THE_LEAD,
    data: { selection: { run: idOf('run', 'c') }, reach: 'lab' },
  };
  const some = [person, token('a', 'k1'), token('b', 'k2'), token('c', 'k2')];
  const left = (drafts: Draft[], moment = NOW): string[] =>
    toldAt(replayed(drafts), moment).tokens.map(({ id }) => id);
  expect(left(some)).toHaveLength(3);
  expect(left([...some, keyGone])).toEqual([idOf('tok', 'b'), idOf('tok', 'c')]);
  expect(left([...some, revoked])).toEqual([idOf('tok', 'a'), idOf('tok', 'b')]);
  expect(left(some, NOW + HOUR)).toEqual([]);
});
