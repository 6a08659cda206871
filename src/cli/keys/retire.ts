/** `sallyport keys retire`: for a key that may have leaked. */
import type { Command } from 'commander';
import { kid } from '../arguments.ts';
import { YES_OPTION, mustConfirm, type ConfirmOption } from '../confirm.ts';
import { connect } from '../connection.ts';
import { defineBrokerCommand, type BrokerOptions } from '../define.ts';
import { counted, printJson, say } from '../output.ts';
import type { Surroundings } from '../surroundings.ts';
import { retiredKeySchema } from '../wire.ts';

interface RetireOptions extends BrokerOptions, ConfirmOption {
  grounds: string;
}

export function addKeysRetire(group: Command, around: Surroundings): void {
  defineBrokerCommand(group, 'retire', {
    summary: 'Retire a key that may have leaked: all tokens that it signed end at once',
    details:
      'Running requests of those tokens are cut. Where it is the active key, the next one or a new one signs at once. It cannot be undone.',
    examples: ['sallyport keys retire R9J… --grounds "Backup of the data directory was lost"'],
  })
    .argument('<kid>', 'the key, as "keys list" names it', kid)
    .requiredOption('--grounds <text>', 'why: kept on record')
    .option(...YES_OPTION)
    .action(async (key: string, options: RetireOptions) => {
      const broker = await connect(around, options);
      await mustConfirm(around, `End all tokens that ${key} signed, for all labs?`, options);
      const retired = await broker.post(`/keys/${key}/retire`, retiredKeySchema, {
        grounds: options.grounds,
      });
      if (options.json) printJson(around, retired);
      else {
        say(around, `Retired ${key}. ${counted(retired.tokensEnded, 'live token')} ended.`);
        say(around, `${retired.activeKid} signs tokens now.`);
      }
    });
}
