/** `sallyport order suspend`: stops access at once, without a question first. */
import { Option, type Command } from 'commander';
import { selectorSchema, type Selector } from '../../core/orders.ts';
import { connect } from '../connection.ts';
import { defineBrokerCommand, type BrokerOptions } from '../define.ts';
import { counted, note, printJson, say } from '../output.ts';
import { wrongUsage } from '../problems.ts';
import type { Surroundings } from '../surroundings.ts';
import { issuedOrderSchema } from '../wire.ts';
import { printOrder } from './print.ts';

/** Options, and what each of them selects by. */
const SELECTORS = {
  all: 'all',
  grant: 'grant',
  lab: 'lab',
  endpoint: 'endpoint',
  model: 'model',
  of: 'person',
} as const;

type Flag = keyof typeof SELECTORS;

const FLAGS = Object.keys(SELECTORS) as Flag[];

interface SuspendOptions extends BrokerOptions {
  all?: boolean;
  grant?: string;
  lab?: string;
  endpoint?: string;
  model?: string;
  of?: string;
  grounds: string;
  authority?: string;
  evidence?: string;
}

export function addOrderSuspend(group: Command, around: Surroundings): void {
  defineBrokerCommand(group, 'suspend', {
    summary: 'Stop access at once: everything, or one grant, lab, endpoint, model or person',
    details:
      'When the command returns, no new request in scope passes, and those that were running have been cut. It asks no question first; another person can lift the order.',
    examples: [
      'sallyport order suspend --grant grt_01… --grounds "Outputs found outside the agreed purpose"',
      'sallyport order suspend --of per_01… --grounds "Key may have been copied"',
      'sallyport order suspend --all --grounds "Suspected key theft" --evidence "ticket 4711"',
    ],
  })
    .addOption(new Option('--all', 'everything'))
    .addOption(new Option('--grant <id>', 'one grant'))
    .addOption(new Option('--lab <id>', 'everything of one lab'))
    .addOption(new Option('--endpoint <id>', 'one endpoint'))
    .addOption(new Option('--model <name>', 'one model'))
    .addOption(new Option('--of <id>', 'everything of one person'))
    .requiredOption('--grounds <text>', 'why: shown to those concerned, and kept on record')
    .option('--authority <text>', 'in what capacity, or on whose instruction')
    .option('--evidence <text>', 'what it rests on')
    .action(async (options: SuspendOptions) => {
      const { grounds, authority, evidence } = options;
      const selector = selectorOf(options);
      const broker = await connect(around, options);
      const issued = await broker.post('/orders', issuedOrderSchema, {
        selector,
        grounds,
        ...(authority !== undefined && { authority }),
        ...(evidence !== undefined && { evidence }),
      });
      if (options.json) printJson(around, issued);
      else {
        printOrder(around, issued);
        say(around, `${counted(issued.cut.length, 'running request')} cut.`);
      }
      // Last, so that nobody in a hurry takes a typing error for a stop.
      if (issued.warning) note(around, `NOTHING WAS STOPPED. ${issued.warning}`);
    });
}

function selectorOf(options: SuspendOptions): Selector {
  const given = FLAGS.filter((flag) => options[flag] !== undefined);
  const [flag] = given;
  if (flag === undefined || given.length > 1) {
    throw wrongUsage(
      `An order stops exactly one thing: give one of ${FLAGS.map((one) => `--${one}`).join(', ')}${given.length > 1 ? `, not ${given.length}` : ''}.`,
    );
  }
  const parsed = selectorSchema.safeParse({ [SELECTORS[flag]]: options[flag] });
  if (parsed.success) return parsed.data;
  throw wrongUsage(
    `--${flag} ${JSON.stringify(options[flag])} is not valid: give the whole ${flag === 'model' ? 'name of the model' : 'id'}, as the lists print it.`,
  );
}
