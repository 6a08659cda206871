/** `sallyport order …` */
import type { Command } from 'commander';
import { defineGroup } from '../define.ts';
import type { Surroundings } from '../surroundings.ts';
import { addOrderLift } from './lift.ts';
import { addOrderList } from './list.ts';
import { addOrderShow } from './show.ts';
import { addOrderSuspend } from './suspend.ts';

export function addOrderCommands(program: Command, around: Surroundings): void {
  const group = defineGroup(
    program,
    'order',
    'Orders: stopping access at once, and lifting the stop',
  );
  addOrderSuspend(group, around);
  addOrderList(group, around);
  addOrderShow(group, around);
  addOrderLift(group, around);
}
