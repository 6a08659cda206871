/** Shows incidents. */
import type { Named } from '../names.ts';
import { moment, printDetails, printTable, printText, say } from '../output.ts';
import type { Surroundings } from '../surroundings.ts';
import type { WholeIncident } from './wire.ts';

/** An incident with its clock and all that belongs to it. */
export function printIncident(around: Surroundings, incident: WholeIncident, named: Named): void {
  printDetails(around, [
    ['id', incident.id],
    ['title', incident.title],
    ['state', incident.state],
    ['harms', incident.harms.map(({ kind, within }) => `${kind} (${within})`).join(', ')],
    ['aware since', moment(incident.awareAt)],
    ['opened', `${moment(incident.openedAt)} by ${named(incident.openedBy)}`],
    ['next due', moment(incident.nextDueAt)],
    ['overdue', incident.overdue ? 'yes' : undefined],
  ]);
  say(around, '');
  printTable(
    around,
    ['report', 'due', 'sent', 'state'],
    incident.deadlines.map(({ kind, dueAt, doneAt, state }) => [
      kind,
      moment(dueAt),
      moment(doneAt),
      state.replaceAll('_', ' '),
    ]),
  );
  if (incident.description !== null) printText(around, 'What happened', incident.description);
  printLinks(around, incident);
  for (const { at, grounds, awareBefore, addedHarms } of incident.corrections) {
    const moved = awareBefore === null ? '' : `, aware since ${moment(awareBefore)} before`;
    const added = addedHarms.length === 0 ? '' : `, added ${addedHarms.join(', ')}`;
    printText(around, `Corrected ${moment(at)}${moved}${added}`, grounds);
  }
  for (const { n, evidence, text, reference, sha256 } of incident.findings)
    printText(around, withMore(`Finding ${n}: ${evidence}`, reference, sha256), text);
  for (const { n, kind, sentAt, to, text, sha256 } of incident.reports)
    printText(
      around,
      withMore(`Report ${n}: ${kind}, sent ${moment(sentAt)} to ${to.join('; ')}`, sha256),
      text,
    );
  for (const { resolvedAt, text, reopened } of incident.resolutions) {
    printText(around, `Resolved ${moment(resolvedAt)}`, text);
    if (reopened) printText(around, `Reopened ${moment(reopened.at)}`, reopened.grounds);
  }
}

function printLinks(around: Surroundings, { links }: WholeIncident): void {
  if (links.length === 0) return;
  say(around, '');
  printTable(
    around,
    ['belongs to it', 'since', 'comment', 'taken off'],
    links.map(({ order, entry, at, comment, removed }) => [
      order ?? `entry ${entry}`,
      moment(at),
      comment,
      removed && `${moment(removed.at)}: ${removed.grounds}`,
    ]),
  );
}

const withMore = (heading: string, ...more: (string | undefined)[]): string =>
  [heading, ...more.filter((one) => one !== undefined)].join(', ');
