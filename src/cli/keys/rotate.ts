/** `sallyport keys rotate` */
import type { Command } from 'commander';
import { connect } from '../connection.ts';
import { defineBrokerCommand, type BrokerOptions } from '../define.ts';
import { moment, note, printJson, say } from '../output.ts';
import type { Surroundings } from '../surroundings.ts';
import { signingKeySchema } from '../wire.ts';

interface RotateOptions extends BrokerOptions {
  now?: boolean;
}

export function addKeysRotate(group: Command, around: Surroundings): void {
  defineBrokerCommand(group, 'rotate', {
    summary: 'Have a new key sign tokens, once it has been published for long enough',
    details:
      'Nobody notices: tokens that are out stay good until they expire, and only then is the old key no longer published. For a key that may have leaked, use "keys retire".',
    examples: ['sallyport keys rotate', 'sallyport keys rotate --now'],
  })
    .option('--now', 'the key that waits, or a new one, signs at once')
    .action(async (options: RotateOptions) => {
      const broker = await connect(around, options);
      const key = await broker.post('/keys/rotate', signingKeySchema, {
        now: options.now === true,
      });
      if (options.json) printJson(around, key);
      else if (key.state === 'active') say(around, `${key.kid} signs tokens now.`);
      else {
        say(
          around,
          `Published ${key.kid}. It signs tokens from ${moment(key.activatesAt) ?? 'its activation'} on.`,
        );
        note(around, 'Until then the old key signs. To have the new one sign at once: --now.');
      }
    });
}
