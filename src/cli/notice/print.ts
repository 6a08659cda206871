/** Shows a notice. */
import type { Named } from '../names.ts';
import { moment, printDetails } from '../output.ts';
import type { Surroundings } from '../surroundings.ts';
import type { Notice } from './wire.ts';

export function printNotice(around: Surroundings, notice: Notice, named: Named): void {
  const { acknowledgedBy } = notice;
  printDetails(around, [
    ['id', notice.id],
    ['at', moment(notice.at)],
    ['kind', notice.kind],
    ['about', named(notice.ref)],
    ['to', named(notice.person ?? notice.lab)],
    ['title', notice.title],
    ...Object.entries(notice.data).map(([name, value]): [string, string] => [
      name,
      named(typeof value === 'string' ? value : JSON.stringify(value)),
    ]),
    [
      'acknowledged',
      acknowledgedBy.map(({ person, at }) => `${named(person)} at ${moment(at)}`).join(', ') ||
        'by nobody',
    ],
  ]);
}
