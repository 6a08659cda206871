/** Incidents: opened, and everything that is done with them afterwards. */
import type { EntryKind, Json } from '../../core/audit/entry.ts';
import { refuse } from '../../core/denials.ts';
import { entryOfChange, openedData } from '../../core/incidents/entries.ts';
import {
  harmsByRules,
  targetInWords,
  type Harm,
  type Incident,
  type LinkTarget,
} from '../../core/incidents/incident.ts';
import {
  changed,
  refusalOfChange,
  refusalOfMoment,
  type IncidentChange,
} from '../../core/incidents/steps.ts';
import type { NoticeKind } from '../../core/notices.ts';
import { refusalOfStale } from '../../core/revision.ts';
import type { WriterContext } from '../context.ts';
import { insertIncident, mustFindIncident, updateIncident } from '../incident-rows.ts';
import { notify } from '../notify.ts';
import { readOrder } from '../records.ts';
import { controlOperation, type Authorised, type By } from './operation.ts';
import { mustBeAllowed } from './order-parts.ts';

export interface OpenIncidentArgs {
  by: By;
  id: string;
  title: string;
  description: string | null;
  /** Kinds of harm, by the names of the rules. */
  harms: string[];
  /** Epoch milliseconds. */
  awareAt: number;
  links: LinkTarget[];
}

/** Opens an incident. The spans of its clock are frozen into it. */
export const openIncident = controlOperation(
  'incident.open',
  (context, args: OpenIncidentArgs, who): Incident => {
    const { by, id, title, description, awareAt, links } = args;
    mustBeAllowed(refusalOfMoment('awareAt', 'Awareness begins', awareAt, by.at));
    const harms = harmsOf(context, args.harms);
    for (const target of links) mustExist(context, target);
    const { updateEvery, finalReportWithin } = context.rules.incidents;
    const done = { by: who.member.person.id, at: by.at };
    const incident = insertIncident(
      context,
      {
        id,
        title,
        description,
        harms,
        updateEvery,
        finalReportWithin,
        awareAt,
        openedBy: done.by,
        openedAt: by.at,
        corrections: [],
        links: links.map((target) => ({ ...target, comment: null, ...done, removed: null })),
        findings: [],
        reports: [],
        resolutions: [],
        overdue: [],
      },
      by.at,
    );
    record(context, incident, { by, who, kind: 'incident.opened' }, openedData(incident));
    tell(context, incident, by.at, 'incident.opened', 'was opened');
    return incident;
  },
);

/** A change as it is asked for: of kinds of harm only the names are known outside. */
export type AskedChange =
  | Exclude<IncidentChange, { step: 'correct' | 'report' }>
  | (Omit<Extract<IncidentChange, { step: 'correct' }>, 'addHarms'> & {
      addHarms?: string[] | undefined;
    });

interface ChangeArgs<C> {
  by: By;
  incidentId: string;
  /** The revisions that may be changed; undefined: whichever there is. */
  ifMatch: readonly string[] | undefined;
  change: C;
}

/** Corrects, links, unlinks, adds a finding, resolves or reopens. */
export const changeIncident = controlOperation(
  'incident.change',
  (context, args: ChangeArgs<AskedChange>, who): Incident => {
    const { change } = args;
    if (change.step === 'link') mustExist(context, change.target);
    if (change.step !== 'correct') return carryOut(context, args, change, who);
    const { addHarms: kinds, awareAt, ...said } = change;
    if (awareAt !== undefined)
      mustBeAllowed(refusalOfMoment('awareAt', 'Awareness begins', awareAt, args.by.at));
    const addHarms = kinds && harmsOf(context, kinds);
    return carryOut(context, args, { ...said, awareAt, addHarms }, who);
  },
  (args) => args.incidentId,
);

/** Records that a report was sent. */
export const reportIncident = controlOperation(
  'incident.report',
  (context, args: ChangeArgs<Extract<IncidentChange, { step: 'report' }>>, who): Incident =>
    carryOut(context, args, args.change, who),
  (args) => args.incidentId,
);

function carryOut(
  context: WriterContext,
  { by, incidentId, ifMatch }: ChangeArgs<unknown>,
  change: IncidentChange,
  who: Authorised,
): Incident {
  const before = mustFindIncident(context, incidentId);
  mustBeAllowed(refusalOfStale(before, ifMatch));
  mustBeAllowed(refusalOfChange(before, change, by.at));
  const incident = updateIncident(
    context,
    changed(before, change, { by: who.member.person.id, at: by.at }),
    by.at,
  );
  const { kind, data } = entryOfChange(change);
  record(context, incident, { by, who, kind }, data, ordersOf(change));
  const telling = TOLD[change.step];
  if (telling) tell(context, incident, by.at, ...telling);
  return incident;
}

/** What others are told of. */
const TOLD: Partial<Record<IncidentChange['step'], [NoticeKind, string]>> = {
  report: ['incident.reported', 'was reported'],
  resolve: ['incident.resolved', 'is resolved: its final report is due'],
  reopen: ['incident.reopened', 'was reopened'],
};

const ordersOf = (change: IncidentChange): string[] | undefined => {
  const order = 'target' in change ? change.target.order : undefined;
  return order === undefined ? undefined : [order];
};

/** Kinds of harm with the spans that the rules give them now. */
function harmsOf({ rules }: WriterContext, kinds: readonly string[]): Harm[] {
  const harms = harmsByRules(kinds, rules.incidents);
  if (Array.isArray(harms)) return harms;
  const known = Object.keys(rules.incidents.reportWithin).join(', ');
  return refuse(
    'invalid_request',
    `The rules of this broker name no kind of harm "${harms.unknown.join('", "')}". Give one or several of ${known}.`,
    { param: 'harms' },
  );
}

function mustExist(context: WriterContext, target: LinkTarget): void {
  const { order, entry } = target;
  const exists =
    order === undefined
      ? entry !== undefined && entry < context.size
      : readOrder(context.db, order) !== undefined;
  if (!exists) refuse('not_found', `There is no ${targetInWords(target)}.`);
}

/**
 * Records what was done with an incident. It names no lab and no person concerned: whoever is bound to the entries of
 * their own lab sees none of it.
 */
function record(
  context: WriterContext,
  incident: Incident,
  { by, who, kind }: { by: By; who: Authorised; kind: EntryKind },
  data: Record<string, Json | undefined>,
  orders?: string[],
): void {
  context.append({
    id: by.entryId,
    kind,
    at: by.at,
    actor: who.actor,
    ref: incident.id,
    orders,
    data,
  });
}

/** Tells the host what happened to an incident; no partner. */
export function tell(
  context: WriterContext,
  incident: Incident,
  at: number,
  kind: NoticeKind,
  what: string,
  data: Record<string, Json> = {},
): void {
  notify(context, {
    kind,
    ref: incident.id,
    at,
    to: [{ labId: context.host }],
    title: `Incident ${incident.id} (${incident.title}) ${what}`,
    data: { harms: incident.harms.map((harm) => harm.kind), ...data },
  });
}
