/** `sallyport audit forwarding` */
import type { Command } from 'commander';
import { z } from 'zod';
import { connect } from '../connection.ts';
import { defineBrokerCommand, type BrokerOptions } from '../define.ts';
import { moment, note, printJson, printTable } from '../output.ts';
import type { Surroundings } from '../surroundings.ts';

const answerSchema = z.looseObject({
  size: z.number(),
  items: z.array(
    z.looseObject({
      id: z.string(),
      type: z.string(),
      state: z.string(),
      next: z.number(),
      lag: z.number(),
      lagSeconds: z.number(),
      lost: z.number(),
      deliveredAt: z.string().nullable(),
      failure: z
        .looseObject({ code: z.string(), status: z.number().nullable(), since: z.string() })
        .nullable(),
    }),
  ),
});

export function addAuditForwarding(group: Command, around: Surroundings): void {
  defineBrokerCommand(group, 'forwarding', {
    summary: 'Show where the log is forwarded to, and how far each receiver has come',
    details:
      'For admins, safety officers and auditors of the host, and auditor labs. Receivers are in the configuration ("forward").',
    examples: ['sallyport audit forwarding'],
  }).action(async (options: BrokerOptions) => {
    const broker = await connect(around, options);
    const answer = await broker.get('/log/forwarding', answerSchema);
    if (options.json) {
      printJson(around, answer);
      return;
    }
    if (answer.items.length === 0) {
      note(around, 'The configuration names no receiver.');
      return;
    }
    printTable(
      around,
      ['id', 'type', 'state', 'next', 'lag', 'behind', 'lost', 'delivered', 'last failure'],
      answer.items.map(({ failure, ...one }) => [
        one.id,
        one.type,
        one.state,
        one.next,
        one.lag,
        one.lag === 0 ? undefined : `${Math.round(one.lagSeconds)} s`,
        one.lost,
        moment(one.deliveredAt),
        failure &&
          `${failure.code}${failure.status === null ? '' : ` (${failure.status})`} since ${moment(failure.since) ?? ''}`,
      ]),
    );
  });
}
