/** `sallyport duty …` */
import type { Command } from 'commander';
import { defineGroup } from '../define.ts';
import type { Surroundings } from '../surroundings.ts';
import { addDutyList } from './list.ts';
import { addDutyShow } from './show.ts';
import { addDutySteps } from './steps.ts';

export function addDutyCommands(program: Command, around: Surroundings): void {
  const group = defineGroup(program, 'duty', 'Duties: what is to be done once a grant has ended');
  addDutyList(group, around);
  addDutyShow(group, around);
  addDutySteps(group, around);
}
