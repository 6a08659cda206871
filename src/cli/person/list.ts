/** `sallyport person list` */
import type { Command } from 'commander';
import { id } from '../arguments.ts';
import { connect } from '../connection.ts';
import { defineListCommand, printNamedList, type ListOptions } from '../lists.ts';
import type { Surroundings } from '../surroundings.ts';
import { personSchema } from '../wire.ts';

interface PersonListOptions extends ListOptions {
  lab?: string;
}

export function addPersonList(group: Command, around: Surroundings): void {
  defineListCommand(group, 'list', {
    summary: 'List the people whom you may see',
    examples: ['sallyport person list', 'sallyport person list --lab lab_01…'],
  })
    .option('--lab <id>', 'only of this lab', id('lab'))
    .action(async (options: PersonListOptions) => {
      const broker = await connect(around, options);
      const people = await broker.list('/people', personSchema, options.limit, {
        lab: options.lab,
      });
      await printNamedList(
        around,
        broker,
        options,
        people,
        ['id', 'name', 'lab', 'roles', 'keys', 'status'],
        (person, named) => [
          person.id,
          person.name,
          named(person.lab),
          person.roles.join(', '),
          person.keys.length,
          person.removedAt ? 'removed' : 'active',
        ],
      );
    });
}
