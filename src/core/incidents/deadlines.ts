/** The clock of an incident: what is to be reported until when, and whether it was. */
import { after, before } from '../durations.ts';
import type { Incident, ReportKind } from './incident.ts';

export const DEADLINE_STATES = ['open', 'in_time', 'late', 'overdue'] as const;

export interface Deadline {
  kind: ReportKind;
  /** Epoch milliseconds. */
  dueAt: number;
  /** When the report was sent; null: it was not. */
  doneAt: number | null;
  /** `in_time` and `late` are done; `overdue` is not, and its moment has come. */
  state: (typeof DEADLINE_STATES)[number];
}

/** A deadline that has not been met yet. */
export type Pending = Pick<Deadline, 'kind' | 'dueAt'>;

type Clocked = Pick<
  Incident,
  'harms' | 'updateEvery' | 'finalReportWithin' | 'awareAt' | 'reports' | 'resolutions'
>;

/**
 * Every deadline that an incident has or had, in the order in which they are due.
 *
 * The first report is due from the awareness, by the shortest span of its kinds of harm. From then on an update is due
 * so long after the report before it, while the incident is not resolved. A final report is due from the resolution.
 *
 * @param now epoch milliseconds
 */
export function deadlinesOf(incident: Incident, now: number): Deadline[] {
  const found: { kind: ReportKind; dueAt: number; doneAt: number | null }[] = [
    {
      kind: 'initial',
      dueAt: firstReportDue(incident),
      doneAt: incident.reports[0]?.sentAt ?? null,
    },
    ...updates(incident),
    ...finals(incident),
  ];
  return found
    .toSorted((one, other) => one.dueAt - other.dueAt)
    .map((deadline) => ({ ...deadline, state: stateAt(deadline, now) }));
}

/** The deadlines that have not been met, the earliest first. Only what is done changes them, no moment does. */
export function pendingOf(incident: Incident): Pending[] {
  return deadlinesOf(incident, 0)
    .filter(({ doneAt }) => doneAt === null)
    .map(({ kind, dueAt }) => ({ kind, dueAt }));
}

function stateAt(
  { dueAt, doneAt }: { dueAt: number; doneAt: number | null },
  now: number,
): Deadline['state'] {
  if (doneAt !== null) return doneAt <= dueAt ? 'in_time' : 'late';
  return now < dueAt ? 'open' : 'overdue';
}

/** When the first report is due: by the shortest of the spans, which working days make depend on the moment. */
function firstReportDue({ harms, awareAt }: Pick<Clocked, 'harms' | 'awareAt'>): number {
  return Math.min(...harms.map(({ within }) => after(awareAt, within)));
}

function* updates(incident: Clocked): Generator<Omit<Deadline, 'state'>> {
  const [first, ...later] = incident.reports;
  if (!first) return;
  let last = first.sentAt;
  for (const { kind, sentAt } of later) {
    const dueAt = updateDue(incident, last);
    // A final report that goes out before the next update is due takes its place; one that goes out after it, is late for it.
    if (dueAt !== undefined && (kind === 'update' || dueAt < sentAt))
      yield { kind: 'update', dueAt, doneAt: sentAt };
    last = sentAt;
  }
  const dueAt = updateDue(incident, last);
  if (dueAt !== undefined) yield { kind: 'update', dueAt, doneAt: null };
}

/** When an update is due after a report; undefined where the incident is resolved by then. */
function updateDue({ updateEvery, resolutions }: Clocked, last: number): number | undefined {
  let dueAt = after(last, updateEvery);
  for (const { resolvedAt, reopened } of resolutions) {
    if (dueAt < resolvedAt) return dueAt;
    if (!reopened) return undefined;
    // It would have been due while nothing was: it is due so long after the reopening.
    if (dueAt < reopened.at) dueAt = after(reopened.at, updateEvery);
  }
  return dueAt;
}

function* finals(incident: Clocked): Generator<Omit<Deadline, 'state'>> {
  const { resolutions, reports, finalReportWithin } = incident;
  for (const { resolvedAt, finalReport, reopened } of resolutions) {
    const report = reports.find(({ n }) => n === finalReport);
    if (!report && reopened) continue;
    yield {
      kind: 'final',
      dueAt: after(resolvedAt, finalReportWithin),
      doneAt: report?.sentAt ?? null,
    };
  }
}

/** The deadlines that have not been met and were not recorded as overdue. */
const unrecorded = (incident: Incident): Pending[] =>
  pendingOf(incident).filter(({ kind, dueAt }) =>
    incident.overdue.every((one) => one.kind !== kind || one.dueAt !== dueAt),
  );

/**
 * When an incident has to be looked at: when a deadline comes, or at once where it has come, and so long before it.
 *
 * @param now epoch milliseconds
 */
export function momentsOf(
  incident: Incident,
  remindBefore: readonly string[],
  now: number,
): number[] {
  return unrecorded(incident).flatMap(({ dueAt }) => [
    dueAt,
    ...remindBefore.map((span) => before(dueAt, span)).filter((at) => at > now),
  ]);
}

/** What is to be told of an incident at a moment. */
export interface Reckoning {
  /** Deadlines that have come and were not recorded as overdue yet. */
  overdue: Pending[];
  /** Deadlines that are to be reminded of. */
  reminders: Pending[];
}

/**
 * Looks at the clock.
 *
 * @param dueMoment the moment that had been noted: a reminder of it is not given when a later one is due as well
 */
export function reckon(
  incident: Incident,
  remindBefore: readonly string[],
  dueMoment: number,
  now: number,
): Reckoning {
  const pending = unrecorded(incident);
  return {
    overdue: pending.filter(({ dueAt }) => dueAt <= now),
    reminders: pending.filter(({ dueAt }) => {
      if (dueAt <= now) return false;
      const past = remindBefore.map((span) => before(dueAt, span)).filter((at) => at <= now);
      return past.length > 0 && Math.max(...past) === dueMoment;
    }),
  };
}

/** When the next report is due, or was; null: none. */
export const nextDueAt = (incident: Incident): number | null =>
  pendingOf(incident)[0]?.dueAt ?? null;

const REPORT_NAMES: Record<ReportKind, string> = {
  initial: 'first report',
  update: 'update',
  final: 'final report',
};

/** A deadline's report as people call it. */
export const reportInWords = (kind: ReportKind): string => REPORT_NAMES[kind];
