/** `sallyport keys retire`: for a key that may have leaked. */
import type { Command } from 'commander';
import { InvalidArgumentError } from 'commander';
import { connect } from '../connection.ts';
import { defineBrokerCommand, type BrokerOptions } from '../define.ts';
import { counted, printJson, say } from '../output.ts';
import { failed, wrongUsage } from '../problems.ts';
import type { Surroundings } from '../surroundings.ts';
import { retiredKeySchema } from '../wire.ts';

interface RetireOptions extends BrokerOptions {
  grounds: string;
  yes?: boolean;
}

export function addKeysRetire(group: Command, around: Surroundings): void {
  defineBrokerCommand(group, 'retire', {
    summary: 'Retire a key that may have leaked: all tokens that it signed end at once',
    details:
      'Running requests of those tokens are cut. Where it is the active key, the next one or a new one signs at once. It cannot be undone.',
    examples: ['sallyport keys retire QpN… --grounds "Backup of the data directory was lost"'],
  })
    .argument('<kid>', 'the key, as "keys list" names it', kidOf)
    .requiredOption('--grounds <text>', 'why: kept on record')
    .option('--yes', 'retire it without being asked')
    .action(async (kid: string, options: RetireOptions) => {
      const broker = await connect(around, options);
      if (!options.yes) await askOrFail(around, kid);
      const retired = await broker.post(`/keys/${kid}/retire`, retiredKeySchema, {
        grounds: options.grounds,
      });
      if (options.json) printJson(around, retired);
      else {
        say(around, `Retired ${kid}. ${counted(retired.tokensEnded, 'live token')} ended.`);
        say(around, `${retired.activeKid} signs tokens now.`);
      }
    });
}

function kidOf(text: string): string {
  if (/^[A-Za-z0-9_-]{43}$/.test(text)) return text;
  throw new InvalidArgumentError('It must be the whole id of a key, as "keys list" prints it.');
}

async function askOrFail(around: Surroundings, kid: string): Promise<void> {
  if (!around.interactive)
    throw wrongUsage('There is nobody to ask: give --yes to end all tokens that this key signed.');
  const yes = await around.confirm(`End all tokens that ${kid} signed, for all labs?`);
  if (!yes) throw failed('Nothing was retired.');
}
