/** `sallyport run …` */
import type { Command } from 'commander';
import { defineGroup } from '../define.ts';
import type { Surroundings } from '../surroundings.ts';
import { addRunEnd } from './end.ts';
import { addRunList } from './list.ts';

export function addRunCommands(program: Command, around: Surroundings): void {
  const group = defineGroup(program, 'run', 'Runs: the pieces of work that tokens are for');
  addRunList(group, around);
  addRunEnd(group, around);
}
