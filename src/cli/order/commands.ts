/** `sallyport order …` */
import type { Command } from 'commander';
import { defineGroup } from '../define.ts';
import type { Surroundings } from '../surroundings.ts';
import { addOrderDisputes } from './disputes.ts';
import { addOrderIssue, addOrderSuspend } from './issue.ts';
import { addOrderList } from './list.ts';
import { addOrderShow } from './show.ts';
import { addOrderPreview } from './preview.ts';
import { addOrderSteps } from './steps.ts';

export function addOrderCommands(program: Command, around: Surroundings): void {
  const group = defineGroup(
    program,
    'order',
    'Orders: narrowing and stopping access at once, and what follows',
  );
  addOrderPreview(group, around);
  addOrderIssue(group, around);
  addOrderSuspend(group, around);
  addOrderList(group, around);
  addOrderShow(group, around);
  addOrderDisputes(group, around);
  addOrderSteps(group, around);
}
