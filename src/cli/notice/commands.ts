/** `sallyport notice …` */
import type { Command } from 'commander';
import { defineGroup } from '../define.ts';
import type { Surroundings } from '../surroundings.ts';
import { addNoticeAck } from './ack.ts';
import { addNoticeDeliveries } from './deliveries.ts';
import { addNoticeList } from './list.ts';
import { addNoticeReplay } from './replay.ts';
import { addNoticeShow } from './show.ts';

export function addNoticeCommands(program: Command, around: Surroundings): void {
  const group = defineGroup(program, 'notice', 'Notices: what concerns you, and who took note');
  addNoticeList(group, around);
  addNoticeShow(group, around);
  addNoticeAck(group, around);
  addNoticeDeliveries(group, around);
  addNoticeReplay(group, around);
}
