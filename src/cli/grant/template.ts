/** `sallyport grant template`: a grant to start from, every field explained. */
import type { Command } from 'commander';
import { parse } from 'yaml';
import { id, severalIds, several, wholeNumber } from '../arguments.ts';
import { sallyport } from '../command-line.ts';
import { connect } from '../connection.ts';
import { defineBrokerCommand, type BrokerOptions } from '../define.ts';
import { note, printJson } from '../output.ts';
import { CliError } from '../problems.ts';
import type { Surroundings } from '../surroundings.ts';
import { endpointSchema, type Endpoint } from '../wire.ts';
import { grantTemplate } from './template-text.ts';

interface TemplateOptions extends BrokerOptions {
  lab?: string;
  endpoint?: string;
  model?: string[];
  researcher?: string[];
  maxPeople?: number;
}

export function addGrantTemplate(group: Command, around: Surroundings): void {
  defineBrokerCommand(group, 'template', {
    summary: 'Print a grant to start from: YAML, every field explained',
    details:
      'With --endpoint it asks the broker what the endpoint offers, and asks for no more. Without a broker it writes what is usual.',
    examples: [
      'sallyport grant template > grant.yaml',
      'sallyport grant template --lab lab_01… --endpoint chat --model example-model-2026-01-15 > grant.yaml',
    ],
  })
    .option('--lab <id>', 'the partner lab', id('lab'))
    .option('--endpoint <id>', 'the endpoint ("sallyport endpoint list")')
    .option('--model <name>', 'a model at the endpoint; may be given several times', several)
    .option(
      '--researcher <id>',
      'a person for the roster; may be given several times',
      severalIds('per'),
    )
    .option(
      '--max-people <n>',
      'most people on the roster: up to it, the lead invites them',
      wholeNumber(1),
    )
    .action(async (options: TemplateOptions) => {
      const offered = await offeredBy(around, options);
      const facts = { ...options, offered };
      const text = grantTemplate(facts, around.clock(), sallyport(around.env));
      if (options.json) printJson(around, parse(text));
      else around.out(text);
    });
}

/** What the endpoint offers, where the broker tells it. A template is of use without. */
async function offeredBy(
  around: Surroundings,
  options: TemplateOptions,
): Promise<Endpoint | undefined> {
  const { endpoint } = options;
  if (endpoint === undefined) return undefined;
  try {
    const broker = await connect(around, options);
    return await broker.get(`/endpoints/${encodeURIComponent(endpoint)}`, endpointSchema);
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    note(
      around,
      `What the endpoint "${endpoint}" offers could not be asked, so this is what is usual: ${error.message}`,
    );
    return undefined;
  }
}
