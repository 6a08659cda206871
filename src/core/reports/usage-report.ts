/** The report on a run or a grant: Markdown and HTML from the same parts. */
import { facts, line, table } from '../incidents/markdown.ts';
import { barChart, type Bar } from './bar-chart.ts';
import type { Figures, OrderEffect, Share } from './figures.ts';
import { htmlOfMarkdown } from './html-of-markdown.ts';
import { htmlPage } from './html-page.ts';

/** An order that applied: one that touches what the report is on, or has done something to its requests. */
export interface ReportedOrder {
  id: string;
  /** In words. */
  level: string;
  about: string;
  /** RFC 3339. */
  issuedAt: string;
  endedAt: string | null;
  /** Index of the entry with which it came into force. */
  entry: number | null;
}

/** What a report is made from. All of it but names is in the log. */
export interface UsageReport {
  of: 'run' | 'grant';
  id: string;
  title: string;
  grant: string;
  lab: { id: string; name: string };
  /** Where the reader sees what is about themselves alone. */
  onlyOf: string | null;
  madeAt: string;
  madeBy: string;
  log: string;
  /** Signed; the figures are of entries below it. */
  checkpoint: string;
  size: number;
  /** Where it is about what was before, too: entries in front of this index were archived and pruned. */
  archivedBefore: number | null;
  /** Index of the entry that records the report. */
  entry: number;
  figures: Figures;
  orders: ReportedOrder[];
  /** By id. */
  names: Record<string, string>;
}

/** A part of a report, and the chart that shows what its table says. */
interface Part {
  text: string;
  chart?: string;
}

export const reportMarkdown = (report: UsageReport): string =>
  `${partsOf(report)
    .map(({ text }) => text)
    .join('\n\n')}\n`;

export const reportHtml = (report: UsageReport): string =>
  htmlPage(
    titleOf(report),
    partsOf(report)
      .map(({ text, chart = '' }) => `${htmlOfMarkdown(text)}\n${chart}`)
      .join('\n'),
  );

const titleOf = ({ of, title }: UsageReport): string => `Report on the ${of} ${title}`;

function partsOf(report: UsageReport): Part[] {
  const { figures, of } = report;
  return [
    { text: `# ${line(titleOf(report))}` },
    overview(report),
    ...shares('## Who', 'person', figures.people, (id) => who(report, id)),
    ...shares('## When', 'day', figures.days, code),
    ...shares('## Purposes', 'purpose', figures.purposes, code),
    ...shares('## Models', 'model', figures.models, (id) => line(id)),
    ...shares('## Operations', 'operation', figures.operations, code),
    ...(of === 'grant' ? shares('## Runs', 'run', figures.runs, code) : []),
    ...refusals(figures),
    ...ends(figures),
    ...orders(report),
    ...steps(report),
    proof(report),
  ];
}

function overview(report: UsageReport): Part {
  const { figures, lab, onlyOf } = report;
  const { total, from, until } = figures;
  return {
    text: facts([
      ['Id', code(report.id)],
      ['Grant', code(report.grant)],
      ['Lab', `${line(lab.name)} (${code(lab.id)})`],
      ['Entries of', onlyOf === null ? undefined : `${who(report, onlyOf)} alone`],
      ['From', from ?? 'nothing is on record yet'],
      ['Until', until ?? undefined],
      ['Requests admitted', count(total.admitted)],
      ['Without an outcome yet', figures.unfinished > 0 ? count(figures.unfinished) : undefined],
      ['Requests refused', count(total.denied)],
      [
        'Tokens charged',
        `${count(total.tokens)} (${count(total.inputTokens)} in, ${count(total.outputTokens)} out)`,
      ],
      [
        'Charged by estimate or reservation',
        figures.estimated > 0 ? `${count(figures.estimated)} requests` : undefined,
      ],
      ['Spend', usd(total.spendNanoUsd)],
      ['Access tokens issued', count(figures.tokensIssued)],
      ['Made', `${report.madeAt} by ${who(report, report.madeBy)}`],
    ]),
  };
}

function shares(
  heading: string,
  noun: string,
  list: readonly Share[],
  named: (id: string) => string,
): Part[] {
  if (list.length === 0) return [];
  const rows = list.map((one) => [
    named(one.of),
    count(one.admitted),
    count(one.denied),
    count(one.tokens),
    usd(one.spendNanoUsd),
  ]);
  const head = [noun, 'admitted', 'refused', 'tokens', 'spend'];
  const bars = list.map(({ of, admitted }) => bar(of, admitted));
  return [
    { text: heading, chart: barChart(`Requests admitted by ${noun}`, bars) },
    { text: table(head, rows) },
  ];
}

function refusals({ refusals: list }: Figures): Part[] {
  if (list.length === 0) return [{ text: '## Refusals\n\nNothing was refused.' }];
  const rows = list.map(({ code: reason, count: times, ofTokens, first, last }) => [
    code(reason),
    count(times),
    ofTokens === 0 ? '' : count(ofTokens),
    first,
    last,
  ]);
  const bars = list.map(({ code: reason, count: times }) => bar(reason, times));
  return [
    { text: '## Refusals', chart: barChart('Refusals by code', bars) },
    { text: table(['code', 'times', 'of these, of tokens', 'first', 'last'], rows) },
  ];
}

function ends({ ends: list }: Figures): Part[] {
  if (list.length === 0) return [];
  const said = list.map(({ end, reason, count: times }) => ({
    words: `${end.replaceAll('_', ' ')}${reason === null ? '' : `: ${reason}`}`,
    times,
  }));
  return [
    {
      text: '## How requests ended',
      chart: barChart(
        'How requests ended',
        said.map(({ words, times }) => bar(words, times)),
      ),
    },
    {
      text: table(
        ['end', 'requests'],
        said.map(({ words, times }) => [line(words), count(times)]),
      ),
    },
  ];
}

function orders({ orders: list, figures }: UsageReport): Part[] {
  if (list.length === 0 && figures.orders.length === 0)
    return [{ text: '## Orders\n\nNo order applied.' }];
  const effects = new Map(figures.orders.map((effect) => [effect.order, effect]));
  const rows = list.map(({ id, level, about, issuedAt, endedAt, entry }) => [
    code(id),
    line(level),
    line(about),
    issuedAt,
    endedAt ?? 'in force',
    ...effect(effects.get(id)),
    entry === null ? '' : String(entry),
  ]);
  const head = ['order', 'level', 'about', 'issued', 'ended', 'refused', 'cut', 'noted', 'entry'];
  return [{ text: `## Orders\n\n${table(head, rows)}` }];
}

const effect = (of: OrderEffect | undefined): string[] =>
  of === undefined
    ? ['', '', '']
    : [of.refused, of.cut, of.noted].map((n) => (n === 0 ? '' : count(n)));

function steps(report: UsageReport): Part[] {
  const { steps: list, stepsLeftOut } = report.figures;
  if (list.length === 0) return [];
  const rows = list.map(({ index, at, kind, by }) => [
    String(index),
    at,
    code(kind),
    by === undefined ? 'the broker' : who(report, by),
  ]);
  const more = stepsLeftOut === 0 ? '' : `\n\nAnd ${count(stepsLeftOut)} more.`;
  return [{ text: `## Steps\n\n${table(['entry', 'at', 'kind', 'by'], rows)}${more}` }];
}

function proof({ figures, log, checkpoint, size, archivedBefore, entry }: UsageReport): Part {
  const { count: entries, first, last, leavesSha256 } = figures.entries;
  return {
    text: [
      '## Proof',
      facts([
        ['Log', code(log)],
        ['Entries', `${count(entries)}${first === null ? '' : `, from ${first} to ${last}`}`],
        ['Checkpoint', `of ${count(size)} entries, below`],
        [
          'Not counted',
          archivedBefore === null
            ? undefined
            : `entries below ${count(archivedBefore)}, which are in archives of the host lab`,
        ],
        ['SHA-256 over the leaf hashes', code(leavesSha256)],
        ['This report is on record as entry', String(entry)],
      ]),
      'Every figure above follows from these entries alone. An evidence bundle of this checkpoint or a later one has them: "sallyport audit verify" shows that nothing in it was changed or left out, and "sallyport audit replay" who was allowed what at any moment. The digest is over the leaf hashes of the entries (RFC 6962), one after the other in the order of the log.',
      `\`\`\`\n${checkpoint.trimEnd()}\n\`\`\``,
    ].join('\n\n'),
  };
}

const bar = (label: string, value: number): Bar => ({ label, value, said: count(value) });

/** For ids and other words of a form of their own. */
const code = (text: string): string => `\`${text.replaceAll(/[`\n|]/g, ' ')}\``;

function who({ names }: UsageReport, personId: string): string {
  const name = names[personId];
  return name === undefined ? code(personId) : `${line(name)} (${code(personId)})`;
}

const count = (value: number): string => value.toLocaleString('en-US');

const usd = (nano: number): string =>
  `${(nano / 1e9).toFixed(nano % 10_000_000 === 0 ? 2 : 6)} USD`;
