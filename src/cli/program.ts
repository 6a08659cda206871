/** The command line: all commands that talk to a broker or check its evidence, and how they end. */
import { Command, CommanderError, Help, type Option } from 'commander';
import { KeyFileError } from '../lib/key-file.ts';
import { addAuditCommands } from './audit/commands.ts';
import { asTyped, sallyport } from './command-line.ts';
import { addConnect } from './connect/command.ts';
import { usageExitCodeOf } from './define.ts';
import { addEndpointCommands } from './endpoint/commands.ts';
import { EXIT, EXIT_CODES_HELP } from './exit-codes.ts';
import { addGrantCommands } from './grant/commands.ts';
import { addIncidentCommands } from './incident/commands.ts';
import { addKeysCommands } from './keys/commands.ts';
import { addJoin } from './join/command.ts';
import { addLabCommands } from './lab/commands.ts';
import { addLogin } from './login.ts';
import { addDutyCommands } from './duty/commands.ts';
import { addNoticeCommands } from './notice/commands.ts';
import { addOrderCommands } from './order/commands.ts';
import { addPersonCommands } from './person/commands.ts';
import { manyLines } from './printable.ts';
import { CliError, QuietExit } from './problems.ts';
import { addRunCommands } from './run/commands.ts';
import { processSurroundings, type Surroundings } from './surroundings.ts';
import { addTokenCommands } from './token/commands.ts';
import { addWhoami } from './whoami.ts';

/**
 * Builds the `sallyport` command without those that need the server (`serve`, `demo`, `init`), which the
 * caller adds.
 */
export function buildProgram(around: Surroundings = processSurroundings()): Command {
  const program = new Command('sallyport')
    .description('Inter-lab access grants: who may test which model, under what limits, on record.')
    .configureOutput({ writeOut: around.out, writeErr: around.err })
    .helpOption('-h, --help', 'show this help')
    .configureHelp({ optionDescription: describe })
    .helpCommand(false)
    .addHelpText(
      'after',
      `\nBegin with "${sallyport(around.env)} join" and the link that you were sent. Every command has its own --help.\n\n${EXIT_CODES_HELP}\n"audit verify" has codes of its own: see its --help.`,
    );
  addJoin(program, around);
  addLogin(program, around);
  addWhoami(program, around);
  addLabCommands(program, around);
  addPersonCommands(program, around);
  addEndpointCommands(program, around);
  addGrantCommands(program, around);
  addOrderCommands(program, around);
  addDutyCommands(program, around);
  addIncidentCommands(program, around);
  addNoticeCommands(program, around);
  addTokenCommands(program, around);
  addRunCommands(program, around);
  addConnect(program, around);
  addKeysCommands(program, around);
  addAuditCommands(program, around);
  return program;
}

/** An option as `--help` explains it; what must be given is marked. */
function describe(option: Option): string {
  const text = new Help().optionDescription(option);
  return option.mandatory ? `${text} (required)` : text;
}

/**
 * Runs a command line. Whatever goes wrong becomes one sentence on standard error, never a stack trace.
 *
 * @param argv as in `process.argv`: the command begins at the third
 * @param env that of the process
 * @returns the exit code; never rejects
 */
export async function run(
  program: Command,
  argv: readonly string[],
  env: Surroundings['env'],
): Promise<number> {
  const output = program.configureOutput();
  everyCommand(program, (command) => {
    // Commander would print its errors itself and end the process.
    command.configureOutput({ outputError: () => undefined });
    command.exitOverride((error) => {
      throw new CommanderStop(error, command);
    });
  });
  try {
    await program.parseAsync([...argv]);
    return EXIT.ok;
  } catch (error) {
    const { sentence, exitCode } = asEnding(error);
    if (sentence !== undefined)
      output.writeErr?.(`sallyport: ${manyLines(asTyped(env, sentence))}\n`);
    return exitCode;
  }
}

/** Commander ended a command: for wrong usage, or because it showed help. */
class CommanderStop extends Error {
  readonly stop: CommanderError;
  readonly command: Command;

  constructor(stop: CommanderError, command: Command) {
    super(stop.message);
    this.stop = stop;
    this.command = command;
  }
}

function asEnding(error: unknown): { sentence?: string; exitCode: number } {
  if (error instanceof QuietExit) return { exitCode: error.exitCode };
  if (error instanceof CliError) return { sentence: error.message, exitCode: error.exitCode };
  if (error instanceof KeyFileError) return { sentence: error.message, exitCode: EXIT.usage };
  if (error instanceof CommanderStop) {
    const { stop, command } = error;
    if (stop.exitCode === 0) return { exitCode: EXIT.ok };
    const exitCode = usageExitCodeOf(command);
    // A group without a command has shown its help: that says it all.
    if (stop.code === 'commander.help') return { exitCode };
    return { sentence: usageSentence(stop.message, command), exitCode };
  }
  const message = error instanceof Error && error.message !== '' ? error.message : String(error);
  return { sentence: message, exitCode: EXIT.failed };
}

function usageSentence(message: string, command: Command): string {
  const text = message.replace(/^error: /, '').replaceAll(/\s*\n\s*/g, ' ');
  const stop = /[.?)]$/.test(text) ? '' : '.';
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${stop} See "${pathOf(command)} --help".`;
}

function pathOf(command: Command): string {
  return command.parent ? `${pathOf(command.parent)} ${command.name()}` : command.name();
}

function everyCommand(command: Command, visit: (command: Command) => void): void {
  visit(command);
  for (const child of command.commands) everyCommand(child, visit);
}
