/** `sallyport run end` */
import type { Command } from 'commander';
import { id } from '../arguments.ts';
import { connect } from '../connection.ts';
import { defineBrokerCommand, type BrokerOptions } from '../define.ts';
import { counted, moment, printJson, say } from '../output.ts';
import type { Surroundings } from '../surroundings.ts';
import { runEndedSchema } from '../wire.ts';

export function addRunEnd(group: Command, around: Surroundings): void {
  defineBrokerCommand(group, 'end', {
    summary: 'Hand a run back: its tokens end at once, and it takes none any more',
    details:
      'Of a run that somebody else began, a researcher ends their own tokens alone. Further work takes a run name of its own.',
    examples: ['sallyport run end run_01…'],
  })
    .argument('<id>', 'the run, as "run list" names it', id('run'))
    .action(async (runId: string, options: BrokerOptions) => {
      const broker = await connect(around, options);
      const done = await broker.post(`/runs/${runId}/end`, runEndedSchema);
      if (options.json) {
        printJson(around, done);
        return;
      }
      const what = `${counted(done.ended, 'live token')} ended, ${counted(done.cut, 'running request')} cut.`;
      say(
        around,
        done.endedAt
          ? `The run ended at ${moment(done.endedAt)}. ${what}`
          : `The run goes on, since somebody else began it; your part in it has ended. ${what}`,
      );
    });
}
