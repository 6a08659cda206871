/** `sallyport notice list` */
import type { Command } from 'commander';
import { id, notEmpty } from '../arguments.ts';
import { connect } from '../connection.ts';
import { defineListCommand, printNamedList, type ListOptions } from '../lists.ts';
import { moment } from '../output.ts';
import type { Surroundings } from '../surroundings.ts';
import { noticeSchema } from './wire.ts';

interface NoticeListOptions extends ListOptions {
  unread?: boolean;
  kind?: string;
  about?: string;
  lab?: string;
}

export function addNoticeList(group: Command, around: Surroundings): void {
  defineListCommand(group, 'list', {
    summary: 'List the notices that are addressed to you or your lab, newest first',
    examples: ['sallyport notice list --unread', 'sallyport notice list --about ord_01… --json'],
  })
    .option('--unread', 'only those that you have not acknowledged')
    .option('--kind <kind>', 'only of this kind, such as order.issued', notEmpty)
    .option('--about <id>', 'only about this grant, order, …', notEmpty)
    .option('--lab <id>', 'for the host and auditors: those of this lab', id('lab'))
    .action(async (options: NoticeListOptions) => {
      const { unread, kind, about, lab } = options;
      const broker = await connect(around, options);
      const query = { unread, kind, ref: about, lab };
      const notices = await broker.list('/notices', noticeSchema, options.limit, query);
      await printNamedList(
        around,
        broker,
        options,
        notices,
        ['id', 'at', 'kind', 'about', '', 'title'],
        (notice, named) => [
          notice.id,
          moment(notice.at),
          notice.kind,
          named(notice.ref),
          notice.unread ? 'unread' : '',
          notice.title,
        ],
      );
    });
}
