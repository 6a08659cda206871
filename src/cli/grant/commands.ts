/** `sallyport grant …` */
import type { Command } from 'commander';
import { defineGroup } from '../define.ts';
import type { Surroundings } from '../surroundings.ts';
import { addGrantAccept } from './accept.ts';
import { addGrantApply } from './apply.ts';
import { addGrantList } from './list.ts';
import { addGrantNew } from './new.ts';
import { addGrantRoster } from './roster.ts';
import { addGrantShow } from './show.ts';
import { addGrantSteps } from './steps.ts';
import { addGrantTemplate } from './template.ts';
import { addGrantUsage } from './usage.ts';

export function addGrantCommands(program: Command, around: Surroundings): void {
  const group = defineGroup(
    program,
    'grant',
    'Grants: what a partner lab may do, from draft to end',
  );
  addGrantTemplate(group, around);
  addGrantNew(group, around);
  addGrantApply(group, around);
  addGrantList(group, around);
  addGrantShow(group, around);
  addGrantSteps(group, around);
  addGrantAccept(group, around);
  addGrantRoster(group, around);
  addGrantUsage(group, around);
}
