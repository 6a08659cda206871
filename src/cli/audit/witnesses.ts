/** `sallyport audit witnesses` */
import type { Command } from 'commander';
import { urlOf } from '../connection.ts';
import { defineCommand, withJson } from '../define.ts';
import { call, jsonOf } from '../http.ts';
import { counted, moment, note, printJson, printTable, say, type JsonOption } from '../output.ts';
import { wrongUsage } from '../problems.ts';
import type { Surroundings } from '../surroundings.ts';
import { witnessesSchema } from './witness-wire.ts';

interface WitnessesOptions extends JsonOption {
  profile?: string;
  url?: string;
  policy?: boolean;
}

export function addAuditWitnesses(group: Command, around: Surroundings): void {
  const command = defineCommand(group, 'witnesses', {
    summary: 'Show who cosigns the checkpoints of the log, and how it goes',
    details:
      'Anybody may ask. With --policy, prints who they are and how many of them are enough, as "audit verify --policy" takes it: compare the keys with what the witnesses themselves publish.',
    examples: [
      'sallyport audit witnesses',
      'sallyport audit witnesses --policy > witnesses.policy',
    ],
  });
  withJson(command)
    .option('--profile <name>', 'the broker of this profile instead of the last one')
    .option('--url <url>', 'without a profile: the broker (or SALLYPORT_URL); takes no login')
    .option('--policy', 'print the policy alone (C2SP tlog-policy)')
    .action(async (options: WitnessesOptions) => {
      const url = urlOf(around, options);
      const shown = await jsonOf(await call(`${url}/api/v1/log/witnesses`), witnessesSchema);
      if (options.policy) {
        if (shown.policy === null)
          throw wrongUsage('This log has no witnesses: there is no policy that could be met.');
        around.out(shown.policy);
        return;
      }
      if (options.json) {
        printJson(around, shown);
        return;
      }
      printTable(
        around,
        ['witness', 'cosigned', 'at', 'problem'],
        shown.witnesses.map(({ name, cosignedSize, cosignedAt, failure }) => [
          name,
          cosignedSize,
          moment(cosignedAt),
          failure,
        ]),
      );
      for (const { name, problem } of shown.witnesses)
        if (problem !== null) note(around, `${name}: ${problem}`);
      say(
        around,
        shown.witnessedSize === null
          ? 'No checkpoint counts as witnessed.'
          : `The newest witnessed checkpoint has ${counted(shown.witnessedSize, 'entry', 'entries')}.`,
      );
    });
}
