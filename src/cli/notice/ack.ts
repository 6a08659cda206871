/** `sallyport notice ack` */
import type { Command } from 'commander';
import { id } from '../arguments.ts';
import { connect } from '../connection.ts';
import { defineBrokerCommand, type BrokerOptions } from '../define.ts';
import { namesFor } from '../names.ts';
import { printJson } from '../output.ts';
import type { Surroundings } from '../surroundings.ts';
import { printNotice } from './print.ts';
import { noticeSchema } from './wire.ts';

export function addNoticeAck(group: Command, around: Surroundings): void {
  defineBrokerCommand(group, 'ack', {
    summary: 'Say that you took note of a notice',
    details: 'It is kept on record, in your name alone, and agrees to nothing.',
    examples: ['sallyport notice ack ntc_01…'],
  })
    .argument('<id>', 'the notice', id('ntc'))
    .action(async (noticeId: string, options: BrokerOptions) => {
      const broker = await connect(around, options);
      const notice = await broker.post(`/notices/${noticeId}/ack`, noticeSchema);
      if (options.json) printJson(around, notice);
      else printNotice(around, notice, await namesFor(broker, notice));
    });
}
