/** `sallyport grant template`: a grant to start from, every choice explained. */
import { Argument, type Command } from 'commander';
import { id, severalIds, several, wholeNumber } from '../arguments.ts';
import { connect } from '../connection.ts';
import { defineBrokerCommand, type BrokerOptions } from '../define.ts';
import { note, printJson } from '../output.ts';
import { CliError } from '../problems.ts';
import type { Surroundings } from '../surroundings.ts';
import { endpointSchema, type Endpoint } from '../wire.ts';
import { TEMPLATES, fillTemplate, textOf } from './templates.ts';

interface TemplateOptions extends BrokerOptions {
  lab?: string;
  endpoint?: string;
  model?: string[];
  researcher?: string[];
  maxPeople?: number;
}

export function addGrantTemplate(group: Command, around: Surroundings): void {
  const [usual] = TEMPLATES;
  defineBrokerCommand(group, 'template', {
    summary: 'Print a grant to start from: YAML, every choice explained',
    details: `There are: ${TEMPLATES.map(({ name, summary }) => `${name} (${summary})`).join('; ')}.\n\nWith --endpoint it asks the broker what the endpoint offers, and asks for no more. Without a broker it writes what is usual.`,
    examples: [
      'sallyport grant template > grant.yaml',
      'sallyport grant template reproduction --lab lab_01… --endpoint chat --model example-model-2026-01-15 > grant.yaml',
    ],
  })
    .addArgument(
      new Argument('[name]', 'which one')
        .choices(TEMPLATES.map(({ name }) => name))
        .default(usual.name),
    )
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
    .action(async (name: string, options: TemplateOptions) => {
      const template = TEMPLATES.find((one) => one.name === name) ?? usual;
      const offered = await offeredBy(around, options);
      const document = fillTemplate(template, { ...options, offered }, around.clock());
      if (options.json) printJson(around, document.toJS());
      else around.out(textOf(document));
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
