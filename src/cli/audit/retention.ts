/** `sallyport audit retention` */
import type { Command } from 'commander';
import { z } from 'zod';
import { connect } from '../connection.ts';
import { defineBrokerCommand, type BrokerOptions } from '../define.ts';
import { counted, printJson, printTable, say } from '../output.ts';
import type { Surroundings } from '../surroundings.ts';

const retentionSchema = z.looseObject({
  archiveAfterDays: z.number().nullable(),
  noticeDays: z.number().nullable(),
  begins: z.number(),
  before: z.number(),
  size: z.number(),
  removing: z.boolean(),
  holds: z.array(z.looseObject({ id: z.string().nullable(), index: z.number(), text: z.string() })),
});

type Retention = z.infer<typeof retentionSchema>;

export function addAuditRetention(group: Command, around: Surroundings): void {
  defineBrokerCommand(group, 'retention', {
    summary: 'Say what may be archived, and what holds entries back',
    details:
      'By the "retention" of the configuration, and by what is open: incidents, orders in force, transcripts that are kept, exports, receivers of the log.',
    examples: ['sallyport audit retention'],
  }).action(async (options: BrokerOptions) => {
    const broker = await connect(around, options);
    const shown = await broker.get('/log/retention', retentionSchema);
    if (options.json) printJson(around, shown);
    else print(around, shown);
  });
}

function print(around: Surroundings, shown: Retention): void {
  const { archiveAfterDays, noticeDays, begins, before, size, removing, holds } = shown;
  say(around, `The log has ${counted(size, 'entry', 'entries')}, and begins at entry ${begins}.`);
  if (removing) say(around, 'What was pruned is still being taken away.');
  if (archiveAfterDays === null) {
    say(around, 'Nothing is archived or pruned: the configuration has no "retention".');
    return;
  }
  say(
    around,
    `Entries may be archived after ${counted(archiveAfterDays, 'day')}, and pruned ${counted(noticeDays ?? 0, 'day')} after they were archived.`,
  );
  say(
    around,
    before > begins
      ? `The entries ${begins} to ${before - 1} may be archived now.`
      : 'No entries may be archived now.',
  );
  if (holds.length === 0) return;
  say(around, 'What holds entries back:');
  printTable(
    around,
    ['entries from', 'why'],
    holds.map(({ index, text }) => [index, text]),
  );
}
