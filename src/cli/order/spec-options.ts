/** Options that say what an order does, and what it rests on. */
import { InvalidArgumentError, Option, type Command } from 'commander';
import { LEVEL_NAMES } from '../../core/authority-rules.ts';
import { orderSpecSchema, type OrderSpec } from '../../core/orders/order.ts';
import { several, wholeNumber } from '../arguments.ts';
import { wrongUsage } from '../problems.ts';
import { selectorOf, withSelector, type SelectorOptions } from './selector-options.ts';

export interface SpecOptions extends SelectorOptions {
  level: number;
  limits?: number;
  pauseFeature?: string[];
  pausePurpose?: string[];
  putBack?: string[];
  tokenSeconds?: number;
  grounds: string;
  authority?: string;
  legal?: string;
  evidence?: string;
  evidenceText?: string;
  severity?: string;
  whyNotLower?: string;
  expires?: string;
}

/** A level by its number or its name. */
export function levelOf(text: string): number {
  const byName = (LEVEL_NAMES as readonly string[]).indexOf(text.replaceAll('-', '_'));
  const level = byName === -1 && /^[0-5]$/.test(text) ? Number(text) : byName;
  if (level === -1)
    throw new InvalidArgumentError(
      `It must be one of ${LEVEL_NAMES.map((name, i) => `${i} (${name.replaceAll('_', '-')})`).join(', ')}.`,
    );
  return level;
}

const VECTOR =
  'exploited|theoretical,breadth,capability,ease,discoverability, each low, medium or high: theoretical,low,medium,high,high';

/** Adds the options, those of the selector first. */
export function withSpec(command: Command): Command {
  return withReasons(withMeasures(withSelector(command)))
    .requiredOption('--grounds <text>', 'why: shown to those concerned, and kept on record')
    .option('--authority <text>', 'in what capacity')
    .option('--legal <instrument>', 'the recorded order of an authority: file number, date, digest')
    .option('--expires <moment>', 'when it ends in any case (RFC 3339)');
}

/** What an order rests on: given with it, or afterwards. */
export function withReasons(command: Command): Command {
  return command
    .addOption(
      new Option('--evidence <class>', 'what it rests on').choices([
        'reported',
        'written',
        'reproduced',
      ]),
    )
    .option('--evidence-text <text>', 'which: tickets, entries, documents')
    .option('--severity <vector>', VECTOR)
    .option('--why-not-lower <text>', 'why lower levels fail');
}

/** What the options of {@link withReasons} say. @throws CliError */
export function reasonsOf(options: Partial<SpecOptions>): object {
  const { evidence, evidenceText, severity, whyNotLower } = options;
  if (evidenceText !== undefined && evidence === undefined)
    throw wrongUsage('--evidence-text goes with --evidence reported, written or reproduced.');
  return {
    ...(evidence !== undefined && {
      evidence: { class: evidence, ...(evidenceText !== undefined && { text: evidenceText }) },
    }),
    ...(severity !== undefined && { severity: severityOf(severity) }),
    ...(whyNotLower !== undefined && { whyNotLower }),
  };
}

/** What level 1 and 2 do. */
export function withMeasures(command: Command): Command {
  return command
    .addOption(
      new Option('--limits <percent>', 'level 2: limits are this part of what they were').argParser(
        wholeNumber(1),
      ),
    )
    .addOption(new Option('--pause-feature <name>', 'level 2: pause a feature').argParser(several))
    .addOption(new Option('--pause-purpose <name>', 'level 2: pause a purpose').argParser(several))
    .addOption(
      new Option('--put-back <safeguard>', 'level 2: put a safeguard back').argParser(several),
    )
    .addOption(
      new Option('--token-seconds <n>', 'levels 1 and 2: longest life of new tokens').argParser(
        wholeNumber(1),
      ),
    );
}

export function measuresOf(options: Partial<SpecOptions>): object {
  const { limits, pauseFeature, pausePurpose, putBack, tokenSeconds } = options;
  return {
    ...(limits !== undefined && { limitsPercent: limits }),
    ...(pauseFeature && { features: pauseFeature }),
    ...(pausePurpose && { purposes: pausePurpose }),
    ...(putBack && { putBack }),
    ...(tokenSeconds !== undefined && { tokenSeconds }),
  };
}

/** The vector as it is written on the command line. @throws CliError */
function severityOf(text: string): object {
  const [exploitation, breadth, capability, ease, discoverability, more] = text.split(',');
  if (discoverability === undefined || more !== undefined)
    throw wrongUsage(`--severity: write ${VECTOR}.`);
  return { exploitation, breadth, capability, ease, discoverability };
}

/** The order that the options describe. @throws CliError */
export function specOf(options: SpecOptions): OrderSpec {
  const { level, grounds, authority, legal } = options;
  const spec = {
    level,
    selector: selectorOf(options),
    measures: measuresOf(options),
    grounds,
    authority: {
      ...(authority !== undefined && { text: authority }),
      ...(legal !== undefined && { kind: 'legal', instrument: legal }),
    },
    ...reasonsOf(options),
    ...(options.expires !== undefined && { expiresAt: options.expires }),
  };
  const parsed = orderSpecSchema.safeParse(spec);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw wrongUsage(`${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'is not valid'}.`);
}
