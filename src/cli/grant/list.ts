/** `sallyport grant list` */
import type { Command } from 'commander';
import { connect } from '../connection.ts';
import { defineListCommand, printNamedList, type ListOptions } from '../lists.ts';
import { moment } from '../output.ts';
import type { Surroundings } from '../surroundings.ts';
import { grantSchema } from '../wire.ts';

export function addGrantList(group: Command, around: Surroundings): void {
  defineListCommand(group, 'list', {
    summary: 'List the grants that you may see, newest first',
    examples: ['sallyport grant list', 'sallyport grant list --json'],
  }).action(async (options: ListOptions) => {
    const broker = await connect(around, options);
    const grants = await broker.list('/grants', grantSchema, options.limit);
    await printNamedList(
      around,
      broker,
      options,
      grants,
      ['id', 'status', 'version', 'lab', 'until', 'title'],
      (grant, named) => [
        grant.id,
        grant.status,
        grant.version,
        named(grant.spec.lab),
        moment(grant.spec.window.until),
        grant.spec.title,
      ],
    );
  });
}
