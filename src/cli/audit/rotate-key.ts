/** `sallyport audit rotate-key` */
import type { Command } from 'commander';
import { wholeNumber } from '../arguments.ts';
import { commandLine } from '../command-line.ts';
import { YES_OPTION, mustConfirm, type ConfirmOption } from '../confirm.ts';
import { connect } from '../connection.ts';
import { defineBrokerCommand, type BrokerOptions } from '../define.ts';
import { moment, note, printJson, say } from '../output.ts';
import type { Surroundings } from '../surroundings.ts';
import { rotatedLogKeySchema } from './witness-wire.ts';

interface RotateOptions extends BrokerOptions, ConfirmOption {
  overlapDays: number;
}

export function addAuditRotateKey(group: Command, around: Surroundings): void {
  defineBrokerCommand(group, 'rotate-key', {
    summary: 'Have a new key sign the log',
    details:
      'The running broker makes the key. It signs at once; the old one signs beside it for some days, so that whoever knows only that one can go on verifying until they have the new one. The step is signed by both keys and stands in the log: what the old key signed stays good. Everybody concerned is told. It cannot be undone.',
    examples: [
      'sallyport audit rotate-key',
      'sallyport audit rotate-key --overlap-days 0 --yes   # the old key may have leaked',
    ],
  })
    .option('--overlap-days <n>', 'for so long the old key signs as well', wholeNumber(0), 30)
    .option(...YES_OPTION)
    .action(async (options: RotateOptions) => {
      const broker = await connect(around, options);
      await mustConfirm(around, 'Have a new key sign the log from now on?', options);
      const rotated = await broker.post('/log/keys/rotate', rotatedLogKeySchema, {
        overlapDays: options.overlapDays,
      });
      if (options.json) {
        printJson(around, rotated);
        return;
      }
      say(around, rotated.newKey);
      note(
        around,
        `It signs the log from entry ${rotated.size} on; ${
          options.overlapDays === 0
            ? 'no older key does any more'
            : `the old key signs as well until ${moment(rotated.oldKeySignsUntil) ?? ''}`
        }.`,
      );
      note(
        around,
        `Publish it where you published the old one, and tell your witnesses. The history of the keys: ${commandLine(around, 'audit key --history', options.profile)}`,
      );
    });
}
