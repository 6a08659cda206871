/** Makes an incident out of the entries of the log about it, and of nothing else. */
import type {
  Harm,
  Incident,
  IncidentFinding,
  ReportKind,
} from '../../src/core/incidents/incident.ts';
import { changed, type IncidentChange } from '../../src/core/incidents/steps.ts';

interface LoggedEntry {
  kind: string;
  at: string;
  ref: string;
  actor: { person: string };
  data: Record<string, unknown>;
}

/** @param bytes of its entries, in the order of the log */
export function incidentFromLog(bytes: readonly Buffer[]): Incident {
  const [first, ...rest] = bytes.map((one) => JSON.parse(one.toString('utf8')) as LoggedEntry);
  if (!first) throw new Error('It is not in the log.');
  return rest.reduce(apply, opened(first));
}

function opened({ ref, at, actor, data }: LoggedEntry): Incident {
  const done = { by: actor.person, at: Date.parse(at) };
  const link = { comment: null, ...done, removed: null };
  return {
    id: ref,
    title: data['title'] as string,
    description: data['description'] as string | null,
    harms: data['harms'] as Harm[],
    updateEvery: data['updateEvery'] as string,
    finalReportWithin: data['finalReportWithin'] as string,
    awareAt: moment(data['awareAt']),
    openedBy: done.by,
    openedAt: done.at,
    corrections: [],
    links: [
      ...(data['orders'] as string[]).map((order) => ({ order, ...link })),
      ...(data['entries'] as number[]).map((entry) => ({ entry, ...link })),
    ],
    findings: [],
    reports: [],
    resolutions: [],
    overdue: [],
  };
}

function apply(incident: Incident, entry: LoggedEntry): Incident {
  const at = Date.parse(entry.at);
  if (entry.kind === 'incident.overdue') {
    const { report, dueAt } = entry.data as { report: ReportKind; dueAt: string };
    const seen = { kind: report, dueAt: Date.parse(dueAt), at };
    return { ...incident, overdue: [...incident.overdue, seen] };
  }
  const change = changeOf(entry);
  return change ? changed(incident, change, { by: entry.actor.person, at }) : incident;
}

function changeOf({ kind, data }: LoggedEntry): IncidentChange | undefined {
  const { comment, grounds, ...target } = data as {
    comment: string;
    grounds: string;
    order: string;
  };
  switch (kind) {
    case 'incident.corrected': {
      const { awareAt, ...said } = data as { awareAt?: string; grounds: string };
      return { step: 'correct', ...said, awareAt: awareAt && moment(awareAt) } as IncidentChange;
    }
    case 'incident.linked':
      return { step: 'link', target, comment };
    case 'incident.unlinked':
      return { step: 'unlink', target, grounds };
    case 'incident.found':
      return { step: 'find', finding: data as unknown as IncidentFinding };
    case 'incident.reported': {
      const { report, sentAt, ...sent } = data as {
        report: ReportKind;
        sentAt: string;
        text: string;
        to: string[];
      };
      return { step: 'report', kind: report, sentAt: moment(sentAt), ...sent };
    }
    case 'incident.resolved': {
      const { resolvedAt, text } = data as { resolvedAt: string; text: string };
      return { step: 'resolve', resolvedAt: moment(resolvedAt), text };
    }
    case 'incident.reopened':
      return { step: 'reopen', grounds };
    default:
      return undefined;
  }
}

const moment = (text: unknown): number => Date.parse(text as string);
