/** Runs the command that a run is for. */
import { spawn, type ChildProcess } from 'node:child_process';
import { constants } from 'node:os';
import { failed } from '../problems.ts';
import type { Surroundings } from '../surroundings.ts';

/** As a shell command line, or as a program with its arguments, which no shell sees. */
export type Command = { shell: string } | { program: string; args: string[] };

const PASSED_ON = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * Runs a command to its end on this process's standard streams, and passes signals on to it.
 *
 * @returns its exit code; 128 and the signal's number where a signal ended it, as shells say it
 * @throws CliError when it cannot be started
 */
export async function runCommand(
  around: Surroundings,
  command: Command,
  env: NodeJS.ProcessEnv,
): Promise<number> {
  const options = { env, stdio: 'inherit' } as const;
  const child =
    'shell' in command
      ? spawn(command.shell, { ...options, shell: true })
      : spawn(command.program, command.args, options);
  const stops = PASSED_ON.map((signal) =>
    around.onSignal(signal, () => {
      // Ctrl-C on a terminal reaches the command by itself; twice, many take it for "at once".
      if (signal !== 'SIGINT' || !around.interactive) child.kill(signal);
    }),
  );
  try {
    return await exitOf(child, 'shell' in command ? 'the shell' : command.program);
  } finally {
    for (const stop of stops) stop();
  }
}

function exitOf(child: ChildProcess, name: string): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once('error', ({ code, message }: NodeJS.ErrnoException) => {
      const why = code === 'ENOENT' ? 'there is no such program' : (code ?? message);
      reject(failed(`Cannot run ${name}: ${why}.`));
    });
    child.once('exit', (code, signal) =>
      resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])),
    );
  });
}
