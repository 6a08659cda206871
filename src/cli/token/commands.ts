/** `sallyport token …` */
import type { Command } from 'commander';
import { defineGroup } from '../define.ts';
import type { Surroundings } from '../surroundings.ts';
import { addTokenCreate } from './create.ts';
import { addTokenList } from './list.ts';
import { addTokenRevoke } from './revoke.ts';

export function addTokenCommands(program: Command, around: Surroundings): void {
  const group = defineGroup(program, 'token', 'Tokens: short-lived access to models under a grant');
  addTokenCreate(group, around);
  addTokenList(group, around);
  addTokenRevoke(group, around);
}
