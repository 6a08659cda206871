/** `sallyport lab …` */
import type { Command } from 'commander';
import { defineGroup } from '../define.ts';
import type { Surroundings } from '../surroundings.ts';
import { addLabAdd } from './add.ts';
import { addLabIdentityCommands } from './identity/commands.ts';
import { addLabList } from './list.ts';
import { addLabShow } from './show.ts';

export function addLabCommands(program: Command, around: Surroundings): void {
  const group = defineGroup(program, 'lab', 'Labs: the host, its partners, outside auditors');
  addLabAdd(group, around);
  addLabList(group, around);
  addLabShow(group, around);
  addLabIdentityCommands(group, around);
}
