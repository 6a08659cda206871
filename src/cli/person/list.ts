/** `sallyport person list` */
import type { Command } from 'commander';
import { id } from '../arguments.ts';
import { connect } from '../connection.ts';
import { defineListCommand, printList, type ListOptions } from '../lists.ts';
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
      printList(
        around,
        options,
        people,
        ['id', 'name', 'lab', 'roles', 'keys', 'status'],
        (person) => [
          person.id,
          person.name,
          person.lab,
          person.roles.join(', '),
          person.keys.length,
          person.removedAt ? 'removed' : 'active',
        ],
      );
    });
}
