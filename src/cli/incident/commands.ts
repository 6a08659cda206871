/** `sallyport incident …` */
import type { Command } from 'commander';
import { defineGroup } from '../define.ts';
import type { Surroundings } from '../surroundings.ts';
import { addIncidentExport } from './export.ts';
import { addIncidentList, addIncidentShow } from './list.ts';
import { addIncidentOpen } from './open.ts';
import { addIncidentSteps } from './steps.ts';

export function addIncidentCommands(program: Command, around: Surroundings): void {
  const group = defineGroup(
    program,
    'incident',
    'Incidents: what belongs together, what is to be reported until when, and the report',
  );
  addIncidentOpen(group, around);
  addIncidentList(group, around);
  addIncidentShow(group, around);
  addIncidentSteps(group, around);
  addIncidentExport(group, around);
}
