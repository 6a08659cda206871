/** `sallyport lab list` */
import type { Command } from 'commander';
import { connect } from '../connection.ts';
import { defineListCommand, printList, type ListOptions } from '../lists.ts';
import { moment } from '../output.ts';
import type { Surroundings } from '../surroundings.ts';
import { labSchema } from '../wire.ts';

export function addLabList(group: Command, around: Surroundings): void {
  defineListCommand(group, 'list', {
    summary: 'List the labs that you may see',
    examples: ['sallyport lab list', 'sallyport lab list --json'],
  }).action(async (options: ListOptions) => {
    const broker = await connect(around, options);
    const labs = await broker.list('/labs', labSchema, options.limit);
    printList(around, options, labs, ['id', 'kind', 'name', 'since'], (lab) => [
      lab.id,
      lab.kind,
      lab.name,
      moment(lab.createdAt),
    ]);
  });
}
