/** How a command fails: one sentence that says what to do, and an exit code. */
import { EXIT, type ExitCode } from './exit-codes.ts';

/** Ends a command with a sentence on standard error. */
export class CliError extends Error {
  override readonly name = 'CliError';
  readonly exitCode: ExitCode;

  constructor(message: string, exitCode: ExitCode, cause?: unknown) {
    super(message, { cause });
    this.exitCode = exitCode;
  }
}

/** The broker refused and gave a reason from its closed list. */
export class RefusedByBroker extends CliError {
  /** For programs, as in the audit log. */
  readonly code: string;
  /** The broker's own sentence, without the code. */
  readonly detail: string;

  constructor(code: string, detail: string, message: string) {
    super(message, EXIT.failed);
    this.code = code;
    this.detail = detail;
  }
}

/** Ends a command that has said everything already. */
export class QuietExit extends Error {
  override readonly name = 'QuietExit';
  readonly exitCode: number;

  constructor(exitCode: number) {
    super(`exit code ${exitCode}`);
    this.exitCode = exitCode;
  }
}

/** The broker refused, or the command failed. */
export const failed = (message: string, cause?: unknown): CliError =>
  new CliError(message, EXIT.failed, cause);

/** Something that the user gave is missing or not valid. */
export const wrongUsage = (message: string, cause?: unknown): CliError =>
  new CliError(message, EXIT.usage, cause);

/** The broker could not be reached. */
export const unreachable = (message: string, cause?: unknown): CliError =>
  new CliError(message, EXIT.unreachable, cause);

/** What the operating system says about a file, in words; its own message would repeat the path and the call. */
export function fileTrouble(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  const words: Record<string, string> = {
    ENOENT: 'there is no such file or folder',
    EACCES: 'this user may not',
    EPERM: 'this user may not',
    EEXIST: 'it exists already',
    EISDIR: 'it is a folder',
    ENOTDIR: 'a part of the path is not a folder',
    ENOSPC: 'the disk is full',
    EROFS: 'the disk is read-only',
  };
  return (code !== undefined && words[code]) || code || message;
}
