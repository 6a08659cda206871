/** Options that say what an order is about. */
import { Option, type Command } from 'commander';
import { selectorSchema, type Selector } from '../../core/orders/selector.ts';
import { several } from '../arguments.ts';
import { wrongUsage } from '../problems.ts';

/** Options, and the parts of a selector that they give. */
const PARTS = {
  grant: 'grant',
  lab: 'lab',
  endpoint: 'endpoint',
  model: 'model',
  safeguard: 'safeguard',
  of: 'person',
  purpose: 'purpose',
  run: 'run',
  feature: 'feature',
  network: 'network',
  token: 'token',
} as const;

type Flag = keyof typeof PARTS;

const FLAGS = Object.keys(PARTS) as Flag[];

export interface SelectorOptions extends Partial<Record<Flag, string>> {
  all?: boolean;
  attribute?: string[];
  spareUnknown?: boolean;
}

/** Adds the options to a command. */
export function withSelector(command: Command): Command {
  return command
    .addOption(new Option('--all', 'everything'))
    .addOption(new Option('--grant <id>', 'one grant'))
    .addOption(new Option('--lab <id>', 'one lab'))
    .addOption(new Option('--endpoint <id>', 'one endpoint'))
    .addOption(new Option('--model <name>', 'one model version'))
    .addOption(new Option('--safeguard <name>', 'wherever this safeguard is lifted'))
    .addOption(new Option('--of <id>', 'one person'))
    .addOption(
      new Option(
        '--attribute <name=value>',
        'everyone of whom it holds; several values: name=a|b. Give it again for more',
      ).argParser(several),
    )
    .addOption(
      new Option(
        '--spare-unknown',
        'not those of whom the attribute is not known; else they match',
      ),
    )
    .addOption(new Option('--purpose <name>', 'one purpose'))
    .addOption(new Option('--run <id>', 'one run'))
    .addOption(new Option('--feature <name>', 'requests that use a feature'))
    .addOption(new Option('--network <cidr>', 'requests from these addresses'))
    .addOption(new Option('--token <id>', 'one token'));
}

/** Whether the options say anything. */
export const givesSelector = (options: SelectorOptions): boolean =>
  [options.all, options.attribute, ...FLAGS.map((flag) => options[flag])].some(
    (given) => given !== undefined,
  );

/** What the options say. @throws CliError */
export function selectorOf(options: SelectorOptions): Selector {
  const parts = FLAGS.filter((flag) => options[flag] !== undefined);
  const { all, attribute, spareUnknown } = options;
  if (all && (parts.length > 0 || attribute))
    throw wrongUsage('--all is everything: it goes with nothing else.');
  if (all) return { all: true };
  if (parts.length === 0 && !attribute)
    throw wrongUsage(
      `Say what the order is about: --all, --attribute, or ${FLAGS.map((one) => `--${one}`).join(', ')}. Several narrow it.`,
    );
  const parsed = selectorSchema.safeParse({
    ...Object.fromEntries(parts.map((flag) => [PARTS[flag], options[flag]])),
    ...(attribute && { attributes: attribute.map((text) => conditionOf(text, spareUnknown)) }),
  });
  if (parsed.success) return parsed.data;
  for (const flag of parts) {
    const one = selectorSchema.safeParse({ [PARTS[flag]]: options[flag] });
    if (!one.success)
      throw wrongUsage(
        `--${flag} ${JSON.stringify(options[flag])} is not valid: give the whole ${flag === 'model' ? 'name of the model' : 'id'}, as the lists print it.`,
      );
  }
  throw wrongUsage(`That is no selector: ${parsed.error.issues[0]?.message ?? ''}.`);
}

function conditionOf(text: string, spareUnknown: boolean | undefined): object {
  const at = text.indexOf('=');
  if (at < 1) throw wrongUsage(`--attribute ${JSON.stringify(text)}: write it as name=value.`);
  return {
    name: text.slice(0, at),
    is: text.slice(at + 1).split('|'),
    unknown: spareUnknown ? 'spared' : 'matches',
  };
}
