/** What the log says of incidents: enough to know from it alone how one stands. */
import type { EntryKind, Json } from '../audit/entry.ts';
import type { Harm, Incident } from './incident.ts';
import type { IncidentChange } from './steps.ts';

/** What the log says of a change: enough to make it again. */
export function entryOfChange(change: IncidentChange): {
  kind: EntryKind;
  data: Record<string, Json | undefined>;
} {
  switch (change.step) {
    case 'correct': {
      const { step: _, addHarms, awareAt, ...said } = change;
      return {
        kind: 'incident.corrected',
        data: {
          ...said,
          addHarms: addHarms && harmsForLog(addHarms),
          awareAt: awareAt && iso(awareAt),
        },
      };
    }
    case 'link':
      return { kind: 'incident.linked', data: { ...change.target, comment: change.comment } };
    case 'unlink':
      return { kind: 'incident.unlinked', data: { ...change.target, grounds: change.grounds } };
    case 'find':
      return { kind: 'incident.found', data: { ...change.finding } };
    case 'report': {
      const { step: _, sentAt, kind, ...sent } = change;
      return { kind: 'incident.reported', data: { report: kind, sentAt: iso(sentAt), ...sent } };
    }
    case 'resolve':
      return {
        kind: 'incident.resolved',
        data: { resolvedAt: iso(change.resolvedAt), text: change.text },
      };
    case 'reopen':
      return { kind: 'incident.reopened', data: { grounds: change.grounds } };
  }
}

/** What the log says of an incident that is opened. */
export function openedData(incident: Incident): Record<string, Json | undefined> {
  const { title, description, harms, updateEvery, finalReportWithin, awareAt, links } = incident;
  return {
    title,
    description,
    harms: harmsForLog(harms),
    updateEvery,
    finalReportWithin,
    awareAt: iso(awareAt),
    orders: links.flatMap(({ order }) => order ?? []),
    entries: links.flatMap(({ entry }) => entry ?? []),
  };
}

const harmsForLog = (harms: readonly Harm[]): Json =>
  harms.map(({ kind, within }) => ({ kind, within }));

const iso = (at: number): string => new Date(at).toISOString();
