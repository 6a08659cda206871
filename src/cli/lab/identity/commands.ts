/** `sallyport lab identity …` */
import type { Command } from 'commander';
import { defineGroup } from '../../define.ts';
import type { Surroundings } from '../../surroundings.ts';
import { addLabIdentityRemove } from './remove.ts';
import { addLabIdentitySet } from './set.ts';

export function addLabIdentityCommands(labs: Command, around: Surroundings): void {
  const group = defineGroup(labs, 'identity', 'What a lab signs for its own people with');
  addLabIdentitySet(group, around);
  addLabIdentityRemove(group, around);
}
