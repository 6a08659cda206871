/** `sallyport init`: what a lab needs before its broker can start for real. */
import type { Command } from 'commander';
import { defineCommand, withJson } from './cli/define.ts';
import type { InitOptions } from './init-broker.ts';

export function addInit(program: Command): void {
  const command = defineCommand(program, 'init', {
    summary: 'Set up a broker: configuration, keys, host lab and first admin',
    details:
      'Writes sallyport.yaml, a data directory with the keys of the log and of tokens, the host lab and its first admin, whose private key is admin.pem. Nothing that exists is overwritten. It asks nothing and needs no network.',
    examples: ['sallyport init --dir ./broker --lab "Northwall Labs" --admin "Ada Lindqvist"'],
  });
  withJson(command)
    .requiredOption('--dir <dir>', 'directory for all of it; made where it is missing')
    .requiredOption('--lab <name>', 'name of your lab, the host')
    .requiredOption('--admin <name>', 'name of the first admin')
    .option(
      '--origin <name>',
      'name of the audit log, for ever (default: from the name of the lab, and random)',
    )
    .action(async (options: InitOptions) => {
      // Loaded only now: every other command starts faster without the server.
      await (await import('./init-broker.ts')).initialiseBroker(options);
    });
}
