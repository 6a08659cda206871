/** Shows a person. */
import type { Named } from '../names.ts';
import { moment, printDetails, type Cell } from '../output.ts';
import type { Surroundings } from '../surroundings.ts';
import type { Person } from '../wire.ts';

export function printPerson(around: Surroundings, person: Person, named: Named): void {
  printDetails(around, [
    ['id', person.id],
    ['name', person.name],
    ['lab', named(person.lab)],
    ['roles', person.roles.join(', ')],
    ...Object.entries(person.attributes).map(([name, value]): [string, Cell] => [
      `attribute ${name}`,
      [value, sourceOf(person, name, named), endOf(person, name)].filter(Boolean).join(', '),
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

function sourceOf({ attributesSet }: Person, name: string, named: Named): string | undefined {
  const source = Object.hasOwn(attributesSet, name) ? attributesSet[name] : undefined;
  return source && `set ${moment(source.at)} by ${named(source.by) ?? 'nobody'}`;
}

const endOf = ({ attributesUntil }: Person, name: string): string | undefined =>
  Object.hasOwn(attributesUntil, name) ? `until ${moment(attributesUntil[name])}` : undefined;
