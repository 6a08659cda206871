/** `sallyport person …` */
import type { Command } from 'commander';
import { defineGroup } from '../define.ts';
import type { Surroundings } from '../surroundings.ts';
import { addPersonAddKey } from './add-key.ts';
import { addPersonAdd } from './add.ts';
import { addPersonHandBack } from './hand-back.ts';
import { addPersonInvitations } from './invitations.ts';
import { addPersonInvite } from './invite.ts';
import { addPersonKeygen } from './keygen.ts';
import { addPersonList } from './list.ts';
import { addPersonRemoveKey } from './remove-key.ts';
import { addPersonRemove } from './remove.ts';
import { addPersonReplaceKey } from './replace-key.ts';
import { addPersonSetAttributes } from './set-attributes.ts';
import { addPersonSetRoles } from './set-roles.ts';
import { addPersonShow } from './show.ts';
import { addPersonUninvite } from './uninvite.ts';

export function addPersonCommands(program: Command, around: Surroundings): void {
  const group = defineGroup(program, 'person', 'People and their keys');
  addPersonInvite(group, around);
  addPersonInvitations(group, around);
  addPersonUninvite(group, around);
  addPersonKeygen(group, around);
  addPersonAdd(group, around);
  addPersonList(group, around);
  addPersonShow(group, around);
  addPersonSetRoles(group, around);
  addPersonSetAttributes(group, around);
  addPersonRemove(group, around);
  addPersonReplaceKey(group, around);
  addPersonAddKey(group, around);
  addPersonRemoveKey(group, around);
  addPersonHandBack(group, around);
}
