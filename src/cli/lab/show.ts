/** `sallyport lab show` */
import type { Command } from 'commander';
import { id } from '../arguments.ts';
import { connect } from '../connection.ts';
import { defineBrokerCommand, type BrokerOptions } from '../define.ts';
import { printJson } from '../output.ts';
import type { Surroundings } from '../surroundings.ts';
import { labSchema } from '../wire.ts';
import { printLab } from './print.ts';

export function addLabShow(group: Command, around: Surroundings): void {
  defineBrokerCommand(group, 'show', {
    summary: 'Show a lab, and what it signs for its people with',
    examples: ['sallyport lab show lab_01…'],
  })
    .argument('<id>', 'the lab', id('lab'))
    .action(async (labId: string, options: BrokerOptions) => {
      const broker = await connect(around, options);
      const lab = await broker.get(`/labs/${labId}`, labSchema);
      if (options.json) printJson(around, lab);
      else printLab(around, lab);
    });
}
