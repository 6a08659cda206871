/** The report on an incident as people read it: Markdown, from what is on record and nothing else. */
import type { Dispute } from '../orders/disputes.ts';
import { isInForce, levelInWords, missingOf, type Order } from '../orders/order.ts';
import { selectorInWords } from '../orders/selector.ts';
import { bandOf } from '../orders/severity.ts';
import { deadlinesOf, reportInWords } from './deadlines.ts';
import { stateOf, targetInWords, type Incident } from './incident.ts';
import { facts, line, quotation, table } from './markdown.ts';

/** A request in flight that an order cut. */
export interface CutRequest {
  requestId: string;
  personId: string | null;
  grantId: string | null;
  /** RFC 3339. */
  at: string;
  /** Index of its outcome in the log. */
  entry: number;
}

/** An order with what came of it. */
interface ReportedOrder {
  order: Order;
  disputes: readonly Dispute[];
  acknowledgements: readonly { underObjection: boolean }[];
  cut: readonly CutRequest[];
  /** Whether more may have been cut than was looked for. */
  cutIsPartial: boolean;
}

/** An entry that the report rests on. */
export interface ReportedEntry {
  index: number;
  /** RFC 3339. */
  at: string;
  kind: string;
  /** Id of a person; undefined: the broker itself. */
  by: string | undefined;
}

export interface ReportFacts {
  incident: Incident;
  orders: readonly ReportedOrder[];
  entries: readonly ReportedEntry[];
  /** Id of the export, when it was made, and by whom. */
  export: { id: string; at: number; by: string };
  /** Origin of the log. */
  origin: string;
  /** Where it is about what was before, too: entries in front of this index were archived and pruned. */
  archivedBefore: number | undefined;
  /** The name of a person, where it is known. */
  nameOf: (personId: string) => string | undefined;
}

/** Cut requests that are listed; the others are in the order's file. */
const MOST_LISTED = 50;

export function reportText(about: ReportFacts): string {
  const { incident } = about;
  return `${[
    `# Incident: ${line(incident.title)}`,
    overview(about),
    '## Clock',
    clock(about),
    ...section('## What happened', incident.description && quotation(incident.description)),
    ...section('## Corrections', corrections(about)),
    ...section('## Findings', findings(about)),
    ...section('## Reports', reports(about)),
    ...section('## Resolution', resolutions(about)),
    ...section('## Orders', about.orders.map((one) => orderText(about, one)).join('\n\n')),
    ...section('## What turned out not to belong here', removed(about)),
    '## Entries of the log',
    entries(about),
    '## Checking this report',
    checking(about),
  ].join('\n\n')}\n`;
}

const section = (heading: string, text: string | null): string[] => (text ? [heading, text] : []);

function overview({ incident, export: made, ...about }: ReportFacts): string {
  return facts([
    ['Id', code(incident.id)],
    ['State', stateOf(incident)],
    [
      'Kinds of harm',
      incident.harms.map(({ kind, within }) => `${code(kind)} (${within})`).join(', '),
    ],
    ['Aware since', moment(incident.awareAt)],
    ['Opened', `${moment(incident.openedAt)} by ${who(about, incident.openedBy)}`],
    ['This report', `${code(made.id)}, made ${moment(made.at)} by ${who(about, made.by)}`],
  ]);
}

function clock({ incident, export: made }: ReportFacts): string {
  const rows = deadlinesOf(incident, made.at).map(({ kind, dueAt, doneAt, state }) => [
    reportInWords(kind),
    moment(dueAt),
    doneAt === null ? '' : moment(doneAt),
    state.replaceAll('_', ' '),
  ]);
  return table(['due', 'until', 'sent', 'state'], rows);
}

const corrections = (about: ReportFacts): string =>
  about.incident.corrections
    .map(({ grounds, awareBefore, addedHarms, ...done }) =>
      [
        facts([
          ['Corrected', doneBy(about, done)],
          ['Awareness before', awareBefore === null ? undefined : moment(awareBefore)],
          [
            'Kinds of harm added',
            addedHarms.length === 0 ? undefined : addedHarms.map(code).join(', '),
          ],
        ]),
        quotation(grounds),
      ].join('\n\n'),
    )
    .join('\n\n');

const findings = (about: ReportFacts): string =>
  about.incident.findings
    .map(({ n, text, evidence, reference, sha256, ...done }) =>
      [
        `### Finding ${n}: ${evidence}`,
        quotation(text),
        facts([
          ['Recorded', doneBy(about, done)],
          ['Reference', reference && line(reference)],
          ['SHA-256', sha256 && code(sha256)],
        ]),
      ].join('\n\n'),
    )
    .join('\n\n');

const reports = (about: ReportFacts): string =>
  about.incident.reports
    .map(({ n, kind, text, to, sentAt, sha256, ...done }) =>
      [
        `### Report ${n}: ${reportInWords(kind)}`,
        quotation(text),
        facts([
          ['Sent', `${moment(sentAt)} to ${to.map(line).join('; ')}`],
          ['Recorded', doneBy(about, done)],
          ['SHA-256 of the document', sha256 && code(sha256)],
        ]),
      ].join('\n\n'),
    )
    .join('\n\n');

const resolutions = (about: ReportFacts): string =>
  about.incident.resolutions
    .map(({ resolvedAt, text, reopened, ...done }) =>
      [
        `Resolved ${moment(resolvedAt)}; recorded ${doneBy(about, done)}.`,
        quotation(text),
        ...(reopened ? [`Reopened ${doneBy(about, reopened)}.`, quotation(reopened.grounds)] : []),
      ].join('\n\n'),
    )
    .join('\n\n');

function orderText(about: ReportFacts, reported: ReportedOrder): string {
  const { order, disputes, acknowledgements } = reported;
  const { authority, evidence, severity, endedAt } = order;
  const missing = missingOf(order);
  const objecting = acknowledgements.filter(({ underObjection }) => underObjection).length;
  return [
    `### ${code(order.id)}: ${levelInWords(order.level)}`,
    quotation(order.grounds),
    facts([
      ['About', line(selectorInWords(order.selector))],
      ['Measures', measuresOf(order)],
      [
        'Authority',
        line([authority.kind, authority.text, authority.instrument].filter(Boolean).join(', ')),
      ],
      ['Evidence', evidence && line([evidence.class, evidence.text].filter(Boolean).join(': '))],
      [
        'Severity',
        severity &&
          `${bandOf(severity)} (${Object.entries(severity)
            .map((pair) => pair.join(' '))
            .join(', ')})`,
      ],
      ['Why not lower', order.whyNotLower && line(order.whyNotLower)],
      ['Not said', missing.length > 0 ? missing.join(', ') : undefined],
      ['Issued', `${moment(order.issuedAt)} by ${who(about, order.issuedBy)}`],
      [
        'Ratified',
        order.ratifiedAt === null
          ? undefined
          : `${moment(order.ratifiedAt)} by ${who(about, order.ratifiedBy ?? '')}`,
      ],
      ['Took the place of', order.replaces === null ? undefined : code(order.replaces)],
      ['In force', isInForce(order, about.export.at) ? 'yes' : 'no'],
      ['Ended', endedAt === null ? undefined : ended(about, order, endedAt)],
      ['Noted by', `${acknowledgements.length}, ${objecting} of them under objection`],
      ...disputes.map((dispute): [string, string] => ['Objection', objection(dispute)]),
    ]),
    cutText(reported),
  ].join('\n\n');
}

function measuresOf({ measures }: Order): string | undefined {
  const said = Object.entries(measures).map(([name, value]) => `${name} ${String(value)}`);
  return said.length === 0 ? undefined : line(said.join(', '));
}

function ended(about: ReportFacts, order: Order, endedAt: number): string {
  const by = order.endedBy === null ? '' : ` by ${who(about, order.endedBy)}`;
  const why = order.endGrounds === null ? '' : `: ${line(order.endGrounds)}`;
  return `${moment(endedAt)}, ${order.endedBecause ?? 'lapsed'}${by}${why}`;
}

const objection = ({ id, labId, grounds, outcome, decisionGrounds }: Dispute): string =>
  `${code(id)} of ${code(labId)}: ${line(grounds)} — ${
    outcome === null ? 'not decided' : `${outcome}: ${line(decisionGrounds ?? '')}`
  }`;

function cutText({ cut, cutIsPartial }: ReportedOrder): string {
  const partial = cutIsPartial ? ' Only what came soon after the order was looked at.' : '';
  if (cut.length === 0) return `It cut no request in flight.${partial}`;
  const more = cut.length > MOST_LISTED ? ` The first ${MOST_LISTED} are:` : '';
  const rows = cut
    .slice(0, MOST_LISTED)
    .map((one) => [
      code(one.requestId),
      one.personId === null ? '' : code(one.personId),
      one.grantId === null ? '' : code(one.grantId),
      one.at,
      String(one.entry),
    ]);
  const head = ['request', 'person', 'grant', 'ended', 'entry'];
  return `It cut requests in flight: ${cut.length}.${partial}${more}\n\n${table(head, rows)}`;
}

const removed = (about: ReportFacts): string =>
  about.incident.links
    .flatMap((link) =>
      link.removed
        ? `- ${targetInWords(link)}, taken off ${doneBy(about, link.removed)}: ${line(link.removed.grounds)}`
        : [],
    )
    .join('\n');

function entries(about: ReportFacts): string {
  const rows = about.entries.map(({ index, at, kind, by }) => [
    String(index),
    at,
    code(kind),
    by === undefined ? 'the broker' : who(about, by),
  ]);
  const listed = table(['index', 'at', 'kind', 'by'], rows);
  if (about.archivedBefore === undefined) return listed;
  return `Entries below ${about.archivedBefore} were archived: what is about this incident among them is in the archives (\`sallyport audit archives\`), and not in this report.\n\n${listed}`;
}

const checking = ({ origin }: ReportFacts): string =>
  [
    `Each of these entries is in \`evidence/\` with a proof that it is in the log ${code(origin)}, and the log has the digest of every file here. To check all of it offline, with the key of the log as its host published it:`,
    '```sh\nsallyport audit verify REPORT.tar --key KEY\n```',
  ].join('\n\n');

const doneBy = (
  about: Pick<ReportFacts, 'nameOf'>,
  { by, at }: { by: string; at: number },
): string => `${moment(at)} by ${who(about, by)}`;

function who({ nameOf }: Pick<ReportFacts, 'nameOf'>, personId: string): string {
  const name = nameOf(personId);
  return name === undefined ? code(personId) : `${line(name)} (${code(personId)})`;
}

/** For ids and other words of a form of their own. */
const code = (text: string): string => `\`${text}\``;

const moment = (at: number): string => new Date(at).toISOString();
