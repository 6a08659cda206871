/** `sallyport duty list` */
import { Option, type Command } from 'commander';
import { dutyStates } from '../../core/duties.ts';
import { id } from '../arguments.ts';
import { connect } from '../connection.ts';
import { defineListCommand, printNamedList, type ListOptions } from '../lists.ts';
import { moment } from '../output.ts';
import type { Surroundings } from '../surroundings.ts';
import { stateOf } from './print.ts';
import { dutySchema } from './wire.ts';

interface DutyListOptions extends ListOptions {
  grant?: string;
  lab?: string;
  state?: string;
}

export function addDutyList(group: Command, around: Surroundings): void {
  defineListCommand(group, 'list', {
    summary: 'List duties, newest first',
    examples: ['sallyport duty list --state open', 'sallyport duty list --grant grt_01… --json'],
  })
    .option('--grant <id>', 'only those of this grant', id('grt'))
    .option('--lab <id>', 'for the host and auditors: those of this lab', id('lab'))
    .addOption(new Option('--state <state>', 'only those that stand so').choices(dutyStates))
    .action(async (options: DutyListOptions) => {
      const { grant, lab, state } = options;
      const broker = await connect(around, options);
      const duties = await broker.list('/duties', dutySchema, options.limit, { grant, lab, state });
      await printNamedList(
        around,
        broker,
        options,
        duties,
        ['id', 'due', 'state', 'grant', 'person', 'to do'],
        (duty, named) => [
          duty.id,
          moment(duty.dueAt),
          stateOf(duty),
          named(duty.grant),
          named(duty.person),
          duty.text,
        ],
      );
    });
}
