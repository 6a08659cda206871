/** `sallyport grant template`: a grant to start from, every field explained. */
import type { Command } from 'commander';
import { parse } from 'yaml';
import { id, severalIds, several, wholeNumber } from '../arguments.ts';
import { defineCommand, withJson } from '../define.ts';
import { printJson, type JsonOption } from '../output.ts';
import type { Surroundings } from '../surroundings.ts';
import { grantTemplate } from './template-text.ts';

interface TemplateOptions extends JsonOption {
  lab?: string;
  endpoint?: string;
  model?: string[];
  researcher?: string[];
  maxPeople?: number;
}

export function addGrantTemplate(group: Command, around: Surroundings): void {
  const command = defineCommand(group, 'template', {
    summary: 'Print a grant to start from: YAML, every field explained',
    examples: [
      'sallyport grant template > grant.yaml',
      'sallyport grant template --lab lab_01… --endpoint chat --model example-model-2026-01-15 > grant.yaml',
    ],
  });
  withJson(command)
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
    .action((options: TemplateOptions) => {
      const text = grantTemplate(options, around.clock());
      if (options.json) printJson(around, parse(text));
      else around.out(text);
    });
}
