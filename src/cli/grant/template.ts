/** `sallyport grant template`: a grant to start from, every field explained. */
import type { Command } from 'commander';
import { id, severalIds, several } from '../arguments.ts';
import { defineCommand } from '../define.ts';
import type { Surroundings } from '../surroundings.ts';
import { grantTemplate } from './template-text.ts';

interface TemplateOptions {
  lab?: string;
  endpoint?: string;
  model?: string[];
  researcher?: string[];
}

export function addGrantTemplate(group: Command, around: Surroundings): void {
  defineCommand(group, 'template', {
    summary: 'Print a grant to start from: YAML, every field explained',
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
    .action((options: TemplateOptions) => {
      around.out(grantTemplate(options, around.clock()));
    });
}
