/** Shows a notice. */
import { moment, printDetails } from '../output.ts';
import type { Surroundings } from '../surroundings.ts';
import type { Notice } from './wire.ts';

export function printNotice(around: Surroundings, notice: Notice): void {
  const { acknowledgedBy } = notice;
  printDetails(around, [
    ['id', notice.id],
    ['at', moment(notice.at)],
    ['kind', notice.kind],
    ['about', notice.ref],
    ['to', notice.person ?? notice.lab],
    ['title', notice.title],
    ...Object.entries(notice.data).map(([name, value]): [string, string] => [
      name,
      typeof value === 'string' ? value : JSON.stringify(value),
    ]),
    [
      'acknowledged',
      acknowledgedBy.map(({ person, at }) => `${person} at ${moment(at)}`).join(', ') ||
        'by nobody',
    ],
  ]);
}
