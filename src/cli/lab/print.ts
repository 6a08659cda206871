/** Shows a lab. */
import { moment, printDetails, type Cell } from '../output.ts';
import type { Surroundings } from '../surroundings.ts';
import type { Lab } from '../wire.ts';

export function printLab(around: Surroundings, lab: Lab): void {
  const { identity } = lab;
  printDetails(around, [
    ['id', lab.id],
    ['name', lab.name],
    ['kind', lab.kind],
    ['since', moment(lab.createdAt)],
    [
      'signs for its people',
      identity ? `as ${identity.issuer}` : 'no: they have keys of their own',
    ],
    ['with the keys at', identity?.jwksUrl ?? undefined],
    ...(identity?.kids ?? []).map((kid): [string, Cell] => ['with the key', kid]),
    ['registered', moment(identity?.setAt)],
  ]);
}
