/** What may be done with an incident in which state, and what it makes of it. */
import { refusal, type Refusal } from '../denials.ts';
import { reportInWords } from './deadlines.ts';
import {
  MOST_PARTS,
  isLinkTo,
  standingResolution,
  stateOf,
  targetInWords,
  type Done,
  type Harm,
  type Incident,
  type IncidentFinding,
  type IncidentState,
  type LinkTarget,
  type ReportKind,
} from './incident.ts';

/** Everything that changes an incident once it is opened. Moments are epoch milliseconds. */
export type IncidentChange =
  | {
      step: 'correct';
      grounds: string;
      awareAt?: number | undefined;
      addHarms?: Harm[] | undefined;
      title?: string | undefined;
      description?: string | undefined;
    }
  | { step: 'link'; target: LinkTarget; comment: string | null }
  | { step: 'unlink'; target: LinkTarget; grounds: string }
  | { step: 'find'; finding: Omit<IncidentFinding, 'n' | keyof Done> }
  | {
      step: 'report';
      kind: ReportKind;
      text: string;
      to: string[];
      sentAt: number;
      sha256?: string | undefined;
    }
  | { step: 'resolve'; resolvedAt: number; text: string }
  | { step: 'reopen'; grounds: string };

type IncidentStep = IncidentChange['step'];

type Row = IncidentStep | `report_${ReportKind}`;

const UNDECIDED = ['open', 'reported', 'resolved'] as const;

/** In which states each step can be taken. */
export const ALLOWED: Record<Exclude<Row, 'report'>, readonly IncidentState[]> = {
  correct: UNDECIDED,
  link: UNDECIDED,
  unlink: UNDECIDED,
  find: UNDECIDED,
  // What was resolved before anybody could report it is to be reported all the same.
  report_initial: ['open', 'resolved'],
  report_update: ['reported', 'resolved'],
  report_final: ['resolved'],
  resolve: ['open', 'reported'],
  reopen: ['resolved', 'closed'],
};

const INSTEAD: Record<IncidentState, string> = {
  open: 'It is open: the first report comes next, or its resolution.',
  reported: 'It has been reported: updates come next, or its resolution.',
  resolved: 'It is resolved: the final report comes next. If it goes on after all, reopen it.',
  closed: 'It is closed with its final report. If it goes on after all, reopen it.',
};

/**
 * Whether an incident can be changed that way now.
 *
 * @param now epoch milliseconds
 */
export function refusalOfChange(
  incident: Incident,
  change: IncidentChange,
  now: number,
): Refusal | null {
  const state = stateOf(incident);
  const row = change.step === 'report' ? (`report_${change.kind}` as const) : change.step;
  if (!ALLOWED[row].includes(state)) return refusal('incident_state', INSTEAD[state]);
  switch (change.step) {
    case 'correct':
      return refusalOfCorrection(incident, change) ?? tooMany(incident.corrections, 'corrections');
    case 'link':
      return refusalOfLink(incident, change.target);
    case 'unlink':
      return refusalOfUnlinking(incident, change.target);
    case 'find':
      return tooMany(incident.findings, 'findings');
    case 'report':
      return refusalOfReport(incident, change, now);
    case 'resolve':
      return refusalOfResolution(incident, change.resolvedAt, now);
    case 'reopen':
      return tooMany(incident.resolutions, 'resolutions');
  }
}

type Of<S extends IncidentStep> = Extract<IncidentChange, { step: S }>;

/** The clock never gets longer: awareness moves to earlier moments alone, and kinds of harm only come to the others. */
function refusalOfCorrection(
  incident: Incident,
  { awareAt, addHarms = [] }: Of<'correct'>,
): Refusal | null {
  if (awareAt !== undefined && awareAt >= incident.awareAt)
    return refusal(
      'incident_clock',
      `The moment of awareness, ${inWords(incident.awareAt)}, can only be moved to an earlier one.`,
      { param: 'awareAt' },
    );
  const known = incident.harms.find(({ kind }) => addHarms.some((one) => one.kind === kind));
  if (!known) return null;
  return refusal('already_exists', `It has the kind of harm ${known.kind} already.`, {
    param: 'addHarms',
  });
}

function refusalOfLink(incident: Incident, target: LinkTarget): Refusal | null {
  if (incident.links.some((link) => link.removed === null && isLinkTo(link, target)))
    return refusal('already_exists', `${capital(targetInWords(target))} belongs to it already.`);
  return tooMany(incident.links, 'links');
}

function refusalOfUnlinking(incident: Incident, target: LinkTarget): Refusal | null {
  if (incident.links.some((link) => link.removed === null && isLinkTo(link, target))) return null;
  return refusal('not_found', `${capital(targetInWords(target))} does not belong to it.`);
}

function refusalOfReport(
  incident: Incident,
  { kind, sentAt }: Of<'report'>,
  now: number,
): Refusal | null {
  const [first] = incident.reports;
  if (kind === 'initial' && first)
    return refusal(
      'incident_state',
      `Its first report went out at ${inWords(first.sentAt)}. This is an update, or the final one.`,
    );
  if (kind !== 'initial' && !first)
    return refusal(
      'incident_state',
      `It has had no first report. Record that one before the ${reportInWords(kind)}.`,
    );
  const resolution = standingResolution(incident);
  const earliest: [number, string][] = [
    [incident.awareAt, 'the awareness'],
    [incident.reports.at(-1)?.sentAt ?? 0, 'the report before it'],
  ];
  if (kind === 'final') earliest.push([resolution?.resolvedAt ?? 0, 'the resolution']);
  return (
    refusalOfMoment('sentAt', 'A report was sent', sentAt, now, earliest) ??
    tooMany(incident.reports, 'reports')
  );
}

function refusalOfResolution(incident: Incident, resolvedAt: number, now: number): Refusal | null {
  const { reopened = null } = incident.resolutions.at(-1) ?? {};
  return refusalOfMoment('resolvedAt', 'An incident is resolved', resolvedAt, now, [
    [incident.awareAt, 'the awareness'],
    [reopened?.at ?? 0, 'its last reopening'],
  ]);
}

/** Why a moment that somebody names cannot be it: it has not come, or is before what it follows. */
export function refusalOfMoment(
  param: string,
  what: string,
  at: number,
  now: number,
  earliest: readonly [at: number, of: string][] = [],
): Refusal | null {
  if (at > now)
    return refusal(
      'incident_clock',
      `${what} at a moment that has come: ${inWords(at)} is after ${inWords(now)}, the time of this broker.`,
      { param },
    );
  const after = earliest.find(([first]) => at < first);
  if (!after) return null;
  return refusal(
    'incident_clock',
    `${what} after ${after[1]}: ${inWords(at)} is before ${inWords(after[0])}.`,
    { param },
  );
}

function tooMany(list: readonly unknown[], what: string): Refusal | null {
  if (list.length < MOST_PARTS) return null;
  return refusal(
    'incident_state',
    `It has ${MOST_PARTS} ${what}, and no incident has more. Open another one.`,
  );
}

/** What a change makes of an incident. It is for {@link refusalOfChange} to say whether it may. */
export function changed(incident: Incident, change: IncidentChange, done: Done): Incident {
  switch (change.step) {
    case 'correct': {
      const { title, description, addHarms = [], awareAt, grounds } = change;
      const correction = {
        grounds,
        awareBefore: awareAt === undefined ? null : incident.awareAt,
        addedHarms: addHarms.map(({ kind }) => kind),
        ...done,
      };
      return {
        ...incident,
        title: title ?? incident.title,
        description: description ?? incident.description,
        harms: [...incident.harms, ...addHarms],
        awareAt: awareAt ?? incident.awareAt,
        corrections: [...incident.corrections, correction],
      };
    }
    case 'link': {
      const { target, comment } = change;
      return {
        ...incident,
        links: [...incident.links, { ...target, comment, ...done, removed: null }],
      };
    }
    case 'unlink': {
      const { target, grounds } = change;
      const links = incident.links.map((link) =>
        link.removed === null && isLinkTo(link, target)
          ? { ...link, removed: { ...done, grounds } }
          : link,
      );
      return { ...incident, links };
    }
    case 'find': {
      const n = incident.findings.length + 1;
      return { ...incident, findings: [...incident.findings, { n, ...change.finding, ...done }] };
    }
    case 'report':
      return reported(incident, change, done);
    case 'resolve': {
      const { resolvedAt, text } = change;
      const resolution = { resolvedAt, text, ...done, finalReport: null, reopened: null };
      return { ...incident, resolutions: [...incident.resolutions, resolution] };
    }
    case 'reopen':
      return withLastResolution(incident, { reopened: { ...done, grounds: change.grounds } });
  }
}

function reported(incident: Incident, change: Of<'report'>, done: Done): Incident {
  const { kind, text, to, sentAt, sha256 } = change;
  const n = incident.reports.length + 1;
  const report = { n, kind, text, to, sentAt, sha256, ...done };
  const after = { ...incident, reports: [...incident.reports, report] };
  return kind === 'final' ? withLastResolution(after, { finalReport: n }) : after;
}

function withLastResolution(
  incident: Incident,
  values: Partial<Incident['resolutions'][number]>,
): Incident {
  const last = incident.resolutions.length - 1;
  const resolutions = incident.resolutions.map((one, i) =>
    i === last ? { ...one, ...values } : one,
  );
  return { ...incident, resolutions };
}

const inWords = (at: number): string => new Date(at).toISOString().replace(/\.\d+Z$/, 'Z');
const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
