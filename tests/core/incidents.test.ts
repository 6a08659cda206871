import { isDeepStrictEqual } from 'node:util';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DEFAULT_RULES } from '../../src/core/authority-rules.ts';
import {
  deadlinesOf,
  momentsOf,
  nextDueAt,
  pendingOf,
  reckon,
} from '../../src/core/incidents/deadlines.ts';
import {
  INCIDENT_STATES,
  harmsByRules,
  linkTargetSchema,
  reportSchema,
  stateOf,
  type Incident,
  type IncidentState,
} from '../../src/core/incidents/incident.ts';
import {
  ALLOWED,
  changed,
  refusalOfChange,
  refusalOfMoment,
  type IncidentChange,
} from '../../src/core/incidents/steps.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
/** A Monday. */
const AWARE = Date.parse('2027-03-01T09:00:00Z');
const BY = 'per_someone';

const anIncident = (values: Partial<Incident> = {}): Incident => ({
  id: 'inc_one',
  title: 'Outputs outside the purpose',
  description: null,
  harms: [{ kind: 'other_serious_harm', within: '15d' }],
  updateEvery: '28d',
  finalReportWithin: '60d',
  awareAt: AWARE,
  openedBy: BY,
  openedAt: AWARE,
  corrections: [],
  links: [],
  findings: [],
  reports: [],
  resolutions: [],
  overdue: [],
  ...values,
});

const report = (kind: 'initial' | 'update' | 'final', sentAt: number): IncidentChange => ({
  step: 'report',
  kind,
  text: 'What is known',
  to: ['The authority'],
  sentAt,
});
const resolve = (resolvedAt: number): IncidentChange => ({
  step: 'resolve',
  resolvedAt,
  text: 'Mended',
});
const REOPEN: IncidentChange = { step: 'reopen', grounds: 'It was seen again' };

/** Takes steps one after the other, each at the moment given. */
function after(steps: [IncidentChange, number][], start = anIncident()): Incident {
  return steps.reduce((incident, [change, at]) => {
    expect(refusalOfChange(incident, change, at)).toBeNull();
    return changed(incident, change, { by: BY, at });
  }, start);
}

const sent = (kind: 'initial' | 'update' | 'final', at: number): [IncidentChange, number] => [
  report(kind, at),
  at,
];

const shown = (incident: Incident, now: number): [string, number, string][] =>
  deadlinesOf(incident, now).map(({ kind, dueAt, state }) => [kind, (dueAt - AWARE) / DAY, state]);

describe('the first report', () => {
  it.each([
    ['critical_infrastructure', 2],
    ['cybersecurity', 5],
    ['death', 10],
    ['other_serious_harm', 15],
  ])('%s: is due %s days after awareness', (kind, days) => {
    const harms = harmsByRules([kind], DEFAULT_RULES.incidents) as Incident['harms'];
    expect(nextDueAt(anIncident({ harms }))).toBe(AWARE + days * DAY);
  });

  it('is due by the shortest span of several kinds of harm', () => {
    const harms = harmsByRules(['death', 'cybersecurity'], DEFAULT_RULES.incidents);
    expect(nextDueAt(anIncident({ harms: harms as Incident['harms'] }))).toBe(AWARE + 5 * DAY);
  });

  it('goes by the moment that comes first, not by the smaller number', () => {
    const harms = [
      { kind: 'a', within: '4d' },
      { kind: 'b', within: '3wd' },
    ];
    // Thursday: three working days end on Tuesday, four days on Monday.
    const thursday = AWARE + 3 * DAY;
    expect(nextDueAt(anIncident({ harms, awareAt: thursday }))).toBe(thursday + 4 * DAY);
    expect(nextDueAt(anIncident({ harms }))).toBe(AWARE + 3 * DAY);
  });

  it('names kinds of harm that the rules do not know', () => {
    expect(harmsByRules(['death', 'toString'], DEFAULT_RULES.incidents)).toEqual({
      unknown: ['toString'],
    });
  });

  it('is overdue from its moment on, and in time when it went out at it', () => {
    const due = AWARE + 15 * DAY;
    expect(shown(anIncident(), due - 1)).toEqual([['initial', 15, 'open']]);
    expect(shown(anIncident(), due)).toEqual([['initial', 15, 'overdue']]);
    expect(shown(after([sent('initial', due)]), due)[0]).toEqual(['initial', 15, 'in_time']);
    expect(shown(after([sent('initial', due + 1)]), due + 1)[0]).toEqual(['initial', 15, 'late']);
  });

  it('is due all the same when the incident is resolved before it', () => {
    const incident = after([[resolve(AWARE + DAY), AWARE + DAY]]);
    expect(shown(incident, AWARE + 2 * DAY)).toEqual([
      ['initial', 15, 'open'],
      ['final', 61, 'open'],
    ]);
  });

  it('is late when awareness turns out to have been earlier', () => {
    const incident = after([
      sent('initial', AWARE + 14 * DAY),
      [
        { step: 'correct', awareAt: AWARE - 2 * DAY, grounds: 'A mail was found' },
        AWARE + 15 * DAY,
      ],
    ]);
    expect(shown(incident, AWARE + 15 * DAY)[0]).toEqual(['initial', 13, 'late']);
  });
});

describe('updates', () => {
  it('are due every four weeks from the report before', () => {
    const incident = after([
      sent('initial', AWARE + DAY),
      sent('update', AWARE + 20 * DAY),
      sent('update', AWARE + 60 * DAY),
    ]);
    expect(shown(incident, AWARE + 61 * DAY)).toEqual([
      ['initial', 15, 'in_time'],
      ['update', 29, 'in_time'],
      ['update', 48, 'late'],
      ['update', 88, 'open'],
    ]);
  });

  it('are not due once the incident is resolved', () => {
    const incident = after([sent('initial', AWARE), [resolve(AWARE + 10 * DAY), AWARE + 10 * DAY]]);
    expect(pendingOf(incident)).toEqual([{ kind: 'final', dueAt: AWARE + 70 * DAY }]);
  });

  it('stay due where one was due before it was resolved, until a report goes out', () => {
    const late = after([sent('initial', AWARE), [resolve(AWARE + 30 * DAY), AWARE + 30 * DAY]]);
    expect(shown(late, AWARE + 31 * DAY)).toEqual([
      ['initial', 15, 'in_time'],
      ['update', 28, 'overdue'],
      ['final', 90, 'open'],
    ]);
    const closed = after([sent('final', AWARE + 40 * DAY)], late);
    expect(shown(closed, AWARE + 41 * DAY)).toEqual([
      ['initial', 15, 'in_time'],
      ['update', 28, 'late'],
      ['final', 90, 'in_time'],
    ]);
    expect(pendingOf(closed)).toEqual([]);
  });

  it('are due again after a reopening: as before, or four weeks from it where that time has passed', () => {
    const reopened = (resolved: number, again: number): Incident =>
      after([
        sent('initial', AWARE),
        [resolve(AWARE + resolved * DAY), AWARE + resolved * DAY],
        [REOPEN, AWARE + again * DAY],
      ]);
    expect(nextDueAt(reopened(5, 10))).toBe(AWARE + 28 * DAY);
    expect(nextDueAt(reopened(5, 40))).toBe(AWARE + 68 * DAY);
    expect(nextDueAt(reopened(30, 40))).toBe(AWARE + 28 * DAY);
  });

  it('may go out after the resolution without having been due', () => {
    const incident = after([
      sent('initial', AWARE),
      [resolve(AWARE + DAY), AWARE + DAY],
      sent('update', AWARE + 50 * DAY),
    ]);
    expect(shown(incident, AWARE + 50 * DAY).map(([kind]) => kind)).toEqual(['initial', 'final']);
  });
});

describe('the final report', () => {
  it('is due 60 days after the resolution, and closes the incident', () => {
    const resolved = after([sent('initial', AWARE), [resolve(AWARE + DAY), AWARE + 2 * DAY]]);
    expect(shown(resolved, AWARE + 61 * DAY).at(-1)).toEqual(['final', 61, 'overdue']);
    const closed = after([sent('final', AWARE + 61 * DAY)], resolved);
    expect(stateOf(closed)).toBe('closed');
    expect(shown(closed, AWARE + 61 * DAY).at(-1)).toEqual(['final', 61, 'in_time']);
  });

  it('is due once more when the incident goes on after it', () => {
    const again = after([
      sent('initial', AWARE),
      [resolve(AWARE + DAY), AWARE + DAY],
      sent('final', AWARE + 2 * DAY),
      [REOPEN, AWARE + 3 * DAY],
      [resolve(AWARE + 5 * DAY), AWARE + 5 * DAY],
    ]);
    expect(shown(again, AWARE + 6 * DAY)).toEqual([
      ['initial', 15, 'in_time'],
      ['final', 61, 'in_time'],
      ['final', 65, 'open'],
    ]);
  });
});

const IN_STATE: Record<IncidentState, Incident> = {
  open: anIncident(),
  reported: after([sent('initial', AWARE)]),
  resolved: after([sent('initial', AWARE), [resolve(AWARE), AWARE]]),
  closed: after([sent('initial', AWARE), [resolve(AWARE), AWARE], sent('final', AWARE)]),
};

const LATER = AWARE + DAY;
const order = { order: 'ord_one' };
const STEPS: Record<keyof typeof ALLOWED, IncidentChange> = {
  correct: { step: 'correct', title: 'Another name', grounds: 'Clearer' },
  link: { step: 'link', target: order, comment: null },
  unlink: { step: 'unlink', target: { entry: 1 }, grounds: 'Another matter' },
  find: { step: 'find', finding: { text: 'Seen', evidence: 'reported' } },
  report_initial: report('initial', LATER),
  report_update: report('update', LATER),
  report_final: report('final', LATER),
  resolve: resolve(LATER),
  reopen: REOPEN,
};
const linked = { entry: 1, comment: null, by: BY, at: AWARE, removed: null };

describe('the table of steps', () => {
  const cases = INCIDENT_STATES.flatMap((state) =>
    (Object.keys(STEPS) as (keyof typeof STEPS)[]).map((step) => [state, step] as const),
  );

  it.each(cases)('%s: %s', (state, step) => {
    const incident = { ...IN_STATE[state], links: [linked] };
    expect(stateOf(incident)).toBe(state);
    const refused = refusalOfChange(incident, STEPS[step], LATER);
    // What was resolved before it was reported is not what this one is.
    const allowed =
      ALLOWED[step].includes(state) && !(step === 'report_initial' && state === 'resolved');
    expect(refused?.code ?? null).toBe(allowed ? null : 'incident_state');
  });

  it('takes the first report of what was resolved before it, and only then the others', () => {
    const resolved = after([[resolve(AWARE), AWARE]]);
    for (const step of ['report_update', 'report_final'] as const)
      expect(refusalOfChange(resolved, STEPS[step], LATER)?.message).toContain('no first report');
    after([sent('initial', LATER), sent('final', LATER)], resolved);
  });

  it('counts nothing twice and takes nothing off that is not there', () => {
    const incident = after([[STEPS.link, AWARE]]);
    expect(refusalOfChange(incident, STEPS.link, LATER)?.code).toBe('already_exists');
    expect(refusalOfChange(incident, STEPS.unlink, LATER)?.code).toBe('not_found');
    const unlink: IncidentChange = { step: 'unlink', target: order, grounds: 'Another matter' };
    const without = after([[unlink, LATER]], incident);
    expect(without.links).toMatchObject([{ ...order, removed: { grounds: 'Another matter' } }]);
    expect(after([[STEPS.link, LATER]], without).links).toHaveLength(2);
  });
});

describe('moments', () => {
  const clock = (incident: Incident, change: IncidentChange, now: number): string | undefined => {
    const refused = refusalOfChange(incident, change, now);
    return refused?.code === 'incident_clock' ? refused.param : refused?.code;
  };

  it.each([
    ['a report of tomorrow', report('initial', LATER), LATER - 1, 'sentAt'],
    ['a report from before awareness', report('initial', AWARE - 1), LATER, 'sentAt'],
    ['a resolution of tomorrow', resolve(LATER), LATER - 1, 'resolvedAt'],
    ['a resolution before awareness', resolve(AWARE - 1), LATER, 'resolvedAt'],
    ['a later awareness', { step: 'correct', awareAt: AWARE + 1, grounds: 'x' }, LATER, 'awareAt'],
    ['the same awareness', { step: 'correct', awareAt: AWARE, grounds: 'x' }, LATER, 'awareAt'],
    [
      'a kind of harm that it has',
      {
        step: 'correct',
        addHarms: [{ kind: 'other_serious_harm', within: '90d' }],
        grounds: 'x',
      },
      LATER,
      'already_exists',
    ],
  ] as [string, IncidentChange, number, string][])('refuses %s', (_name, change, now, param) => {
    expect(clock(anIncident(), change, now)).toBe(param);
  });

  it('refuses what follows something to be before it', () => {
    const reported = after([sent('initial', LATER)]);
    expect(clock(reported, report('update', LATER - 1), LATER)).toBe('sentAt');
    const resolved = after([sent('initial', AWARE), [resolve(LATER), LATER]]);
    expect(clock(resolved, report('final', LATER - 1), LATER)).toBe('sentAt');
    const reopened = after([[REOPEN, LATER + 5]], resolved);
    expect(clock(reopened, resolve(LATER + 4), LATER + 9)).toBe('resolvedAt');
    expect(refusalOfMoment('awareAt', 'Awareness begins', LATER, AWARE)?.param).toBe('awareAt');
  });

  it('a clock that stepped back refuses what it does not know yet, and undoes nothing', () => {
    const incident = after([sent('initial', LATER)]);
    const stepped = AWARE - 5 * DAY;
    expect(clock(incident, report('update', stepped), stepped)).toBe('sentAt');
    expect(clock(incident, resolve(stepped), stepped)).toBe('resolvedAt');
    expect(shown(incident, stepped)[0]).toEqual(['initial', 15, 'in_time']);
    const overdue = { kind: 'initial' as const, dueAt: AWARE + 15 * DAY, at: AWARE + 15 * DAY };
    const seen = anIncident({ overdue: [overdue] });
    expect(reckon(seen, ['1d'], AWARE + 15 * DAY, AWARE + 15 * DAY).overdue).toEqual([]);
  });
});

describe('what has to be looked at', () => {
  const REMIND = ['7d', '1d'];
  const due = AWARE + 15 * DAY;

  it('is each deadline, and so long before it as is left', () => {
    const moments = (now: number): number[] =>
      momentsOf(anIncident(), REMIND, now).map((at) => (at - AWARE) / DAY);
    expect(moments(AWARE)).toEqual([15, 8, 14]);
    expect(moments(AWARE + 8 * DAY)).toEqual([15, 14]);
    expect(moments(AWARE + 20 * DAY)).toEqual([15]);
  });

  it('reminds once for each moment, with the last one where several have come at once', () => {
    const told = (moment: number, now: number): number =>
      reckon(anIncident(), REMIND, moment, now).reminders.length;
    expect(told(AWARE + 8 * DAY, AWARE + 8 * DAY)).toBe(1);
    expect(told(AWARE + 8 * DAY, AWARE + 14 * DAY)).toBe(0);
    expect(told(AWARE + 14 * DAY, AWARE + 14 * DAY)).toBe(1);
    expect(told(AWARE + 14 * DAY, due)).toBe(0);
  });

  it('finds a deadline overdue once', () => {
    const [found] = reckon(anIncident(), REMIND, due, due).overdue;
    expect(found).toEqual({ kind: 'initial', dueAt: due });
    const seen = anIncident({ overdue: [{ kind: 'initial', dueAt: due, at: due }] });
    expect(reckon(seen, REMIND, due, due + DAY)).toEqual({ overdue: [], reminders: [] });
    expect(momentsOf(seen, REMIND, due)).toEqual([]);
  });
});

describe('what comes in', () => {
  it.each([
    ['nothing', {}],
    ['both', { order: `ord_${'0'.repeat(26)}`, entry: 1 }],
    ['an entry before the first', { entry: -1 }],
  ])('a link is to one thing: not to %s', (_name, target) => {
    expect(linkTargetSchema.safeParse(target).success).toBe(false);
  });

  it('a report fits into an entry, however its characters are escaped', () => {
    const of = (text: string): boolean =>
      reportSchema.safeParse({ kind: 'initial', text, to: ['x'] }).success;
    expect(of('a'.repeat(20_000))).toBe(true);
    expect(of('\u0001'.repeat(6_001))).toBe(false);
  });
});

describe('whatever is done', () => {
  const steps = fc.array(
    fc.record({
      step: fc.constantFrom(...Object.values(STEPS)),
      days: fc.integer({ min: 0, max: 40 }),
    }),
    { maxLength: 25 },
  );

  it('the deadlines that are pending are those of the state, and nothing but reports, resolution and reopening moves them', () => {
    fc.assert(
      fc.property(steps, (list) => {
        let incident = anIncident();
        let now = AWARE;
        for (const { step, days } of list) {
          now += days * DAY;
          const change = moved(step, now);
          if (refusalOfChange(incident, change, now)) continue;
          const before = pendingOf(incident);
          incident = changed(incident, change, { by: BY, at: now });
          const kinds = pendingOf(incident).map(({ kind }) => kind);
          expect(kinds.includes('final')).toBe(stateOf(incident) === 'resolved');
          expect(kinds.includes('initial')).toBe(incident.reports.length === 0);
          expect(stateOf(incident) === 'closed' && kinds.length > 0).toBe(false);
          const moves = ['report', 'resolve', 'reopen'].includes(change.step);
          expect(moves || isDeepStrictEqual(pendingOf(incident), before)).toBe(true);
        }
      }),
    );
  });

  function moved(change: IncidentChange, now: number): IncidentChange {
    if (change.step === 'report') return { ...change, sentAt: now };
    return change.step === 'resolve' ? { ...change, resolvedAt: now } : change;
  }
});
