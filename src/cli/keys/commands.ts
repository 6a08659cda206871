/** `sallyport keys …` */
import type { Command } from 'commander';
import { defineGroup } from '../define.ts';
import type { Surroundings } from '../surroundings.ts';
import { addKeysList } from './list.ts';
import { addKeysRetire } from './retire.ts';
import { addKeysRotate } from './rotate.ts';

export function addKeysCommands(program: Command, around: Surroundings): void {
  const group = defineGroup(
    program,
    'keys',
    'Keys that sign tokens: listing, rotating and retiring',
  );
  addKeysList(group, around);
  addKeysRotate(group, around);
  addKeysRetire(group, around);
}
