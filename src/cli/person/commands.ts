/** `sallyport person …` */
import type { Command } from 'commander';
import { defineGroup } from '../define.ts';
import type { Surroundings } from '../surroundings.ts';
import { addPersonAddKey } from './add-key.ts';
import { addPersonAdd } from './add.ts';
import { addPersonHandBack } from './hand-back.ts';
import { addPersonKeygen } from './keygen.ts';
import { addPersonList } from './list.ts';
import { addPersonRemoveKey } from './remove-key.ts';
import { addPersonRemove } from './remove.ts';
import { addPersonShow } from './show.ts';

export function addPersonCommands(program: Command, around: Surroundings): void {
  const group = defineGroup(program, 'person', 'People and their keys');
  addPersonKeygen(group, around);
  addPersonAdd(group, around);
  addPersonList(group, around);
  addPersonShow(group, around);
  addPersonRemove(group, around);
  addPersonAddKey(group, around);
  addPersonRemoveKey(group, around);
  addPersonHandBack(group, around);
}
