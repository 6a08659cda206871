/** `sallyport audit …` */
import type { Command } from 'commander';
import { defineGroup } from '../define.ts';
import type { Surroundings } from '../surroundings.ts';
import { addAuditCompare } from './compare.ts';
import { addAuditEntries } from './entries.ts';
import { addAuditExport } from './export.ts';
import { addAuditForwarding } from './forwarding.ts';
import { addAuditKey } from './key.ts';
import { addAuditNewIdentity } from './new-identity.ts';
import { addAuditOpen } from './open.ts';
import { addAuditReplay } from './replay.ts';
import { addAuditReceipt } from './receipt.ts';
import { addAuditReceipts } from './receipts.ts';
import { addAuditStatement } from './statement.ts';
import { addAuditRotateKey } from './rotate-key.ts';
import { addAuditReport } from './report.ts';
import { addAuditShow } from './show.ts';
import { addAuditSplitViews } from './split-views.ts';
import { addAuditTranscript } from './transcript.ts';
import { addAuditTranscripts } from './transcripts.ts';
import { addAuditTail } from './tail.ts';
import { addAuditVerify } from './verify.ts';
import { addAuditWitnesses } from './witnesses.ts';

export function addAuditCommands(program: Command, around: Surroundings): void {
  const group = defineGroup(program, 'audit', 'The audit log: searching, exporting, proving');
  addAuditEntries(group, around);
  addAuditTail(group, around);
  addAuditShow(group, around);
  addAuditExport(group, around);
  addAuditReport(group, around);
  addAuditForwarding(group, around);
  addAuditKey(group, around);
  addAuditVerify(group, around);
  addAuditReceipt(group, around);
  addAuditReceipts(group, around);
  addAuditStatement(group, around);
  addAuditReplay(group, around);
  addAuditWitnesses(group, around);
  addAuditCompare(group, around);
  addAuditSplitViews(group, around);
  addAuditRotateKey(group, around);
  addAuditTranscript(group, around);
  addAuditTranscripts(group, around);
  addAuditOpen(group, around);
  addAuditNewIdentity(group, around);
}
