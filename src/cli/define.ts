/** How commands are declared: the same options, help and exit codes everywhere. */
import { Option, type Command } from 'commander';
import { EXIT, EXIT_CODES_HELP } from './exit-codes.ts';
import type { ConnectionOptions } from './connection.ts';
import type { JsonOption } from './output.ts';

/** What `--help` says of a command. */
export interface CommandHelp {
  /** One line, beginning with a verb. */
  summary: string;
  /** More, where the summary does not say all. */
  details?: string;
  /** Whole command lines. */
  examples: string[];
  /** Where the command has exit codes of its own. */
  exitCodes?: string;
}

export type BrokerOptions = ConnectionOptions & JsonOption;

/** Exit codes of wrong usage, for commands with codes of their own. */
const usageExitCodes = new WeakMap<Command, number>();

/** Adds a command. `usage` is its name and arguments. */
export function defineCommand(parent: Command, usage: string, help: CommandHelp): Command {
  const command = parent.command(usage).summary(help.summary);
  command.description(help.details ? `${help.summary}.\n\n${help.details}` : `${help.summary}.`);
  const examples = help.examples.map((line) => `  $ ${line}`).join('\n');
  command.addHelpText('after', `\nExamples:\n${examples}\n\n${help.exitCodes ?? EXIT_CODES_HELP}`);
  return command.helpOption('-h, --help', 'show this help');
}

/**
 * Adds a command that talks to a broker. In all of them `--person` says who calls, and `--of` whom it is
 * about.
 */
export function defineBrokerCommand(parent: Command, usage: string, help: CommandHelp): Command {
  // The group of the first option stands first.
  return withConnection(withJson(defineCommand(parent, usage, help)));
}

/** Adds a group of commands. */
export function defineGroup(parent: Command, name: string, summary: string): Command {
  const group = parent.command(name).summary(summary).description(`${summary}.`);
  return group
    .addHelpText('after', `\n${EXIT_CODES_HELP}`)
    .helpOption('-h, --help', 'show this help')
    .helpCommand(false);
}

export function withJson(command: Command): Command {
  return command.option('--json', 'print one JSON document, for programs');
}

/** In a group of their own, after the options that are the command's. */
const CONNECTION_HEADING = 'Which broker, and as whom:';

function withConnection(command: Command): Command {
  const options: [string, string][] = [
    ['--profile <name>', 'use this profile of "login" instead of the last one'],
    ['--url <url>', 'without a profile: the broker (or SALLYPORT_URL)'],
    ['--person <id>', 'without a profile: who you are (or SALLYPORT_PERSON)'],
    ['--key <file>', 'without a profile: your private key (or SALLYPORT_KEY)'],
  ];
  for (const [flags, text] of options)
    command.addOption(new Option(flags, text).helpGroup(CONNECTION_HEADING));
  return command;
}

/** Gives wrong usage of a command an exit code of its own. */
export function setUsageExitCode(command: Command, exitCode: number): void {
  usageExitCodes.set(command, exitCode);
}

export function usageExitCodeOf(command: Command): number {
  return usageExitCodes.get(command) ?? EXIT.usage;
}
