/** Shows a person. */
import { moment, printDetails, type Cell } from '../output.ts';
import type { Surroundings } from '../surroundings.ts';
import type { Person } from '../wire.ts';

export function printPerson(around: Surroundings, person: Person): void {
  printDetails(around, [
    ['id', person.id],
    ['name', person.name],
    ['lab', person.lab],
    ['roles', person.roles.join(', ')],
    ...Object.entries(person.attributes).map(([name, value]): [string, Cell] => [
      `attribute ${name}`,
      Object.hasOwn(person.attributesUntil, name)
        ? `${value} (until ${moment(person.attributesUntil[name])})`
        : value,
    ]),
    ['subject', person.subject ?? undefined],
    ...person.keys.map(({ kid, addedAt }): [string, Cell] => [
      'key',
      addedAt ? `${kid} (since ${moment(addedAt)})` : kid,
    ]),
    ['since', moment(person.createdAt)],
    ['removed', moment(person.removedAt)],
  ]);
}
