/** `sallyport notice show` */
import type { Command } from 'commander';
import { id } from '../arguments.ts';
import { connect } from '../connection.ts';
import { defineBrokerCommand, type BrokerOptions } from '../define.ts';
import { namesFor } from '../names.ts';
import { printJson } from '../output.ts';
import type { Surroundings } from '../surroundings.ts';
import { printNotice } from './print.ts';
import { noticeSchema } from './wire.ts';

export function addNoticeShow(group: Command, around: Surroundings): void {
  defineBrokerCommand(group, 'show', {
    summary: 'Show a notice, and who took note of it',
    examples: ['sallyport notice show ntc_01…'],
  })
    .argument('<id>', 'the notice', id('ntc'))
    .action(async (noticeId: string, options: BrokerOptions) => {
      const broker = await connect(around, options);
      const notice = await broker.get(`/notices/${noticeId}`, noticeSchema);
      if (options.json) printJson(around, notice);
      else printNotice(around, notice, await namesFor(broker, notice));
    });
}
