/** `sallyport audit …` */
import type { Command } from 'commander';
import { defineGroup } from '../define.ts';
import type { Surroundings } from '../surroundings.ts';
import { addAuditEntries } from './entries.ts';
import { addAuditExport } from './export.ts';
import { addAuditForwarding } from './forwarding.ts';
import { addAuditKey } from './key.ts';
import { addAuditReplay } from './replay.ts';
import { addAuditShow } from './show.ts';
import { addAuditTail } from './tail.ts';
import { addAuditVerify } from './verify.ts';

export function addAuditCommands(program: Command, around: Surroundings): void {
  const group = defineGroup(program, 'audit', 'The audit log: searching, exporting, proving');
  addAuditEntries(group, around);
  addAuditTail(group, around);
  addAuditShow(group, around);
  addAuditExport(group, around);
  addAuditForwarding(group, around);
  addAuditKey(group, around);
  addAuditVerify(group, around);
  addAuditReplay(group, around);
}
