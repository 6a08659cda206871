/** Exit codes, for scripts: what each means, and where `--help` says so. */
import { EXIT_CODES } from '../audit/verify-bundle.ts';

/** How a command ends. `audit verify` has codes of its own. */
export const EXIT = { ok: 0, failed: 1, usage: 2, unreachable: 3 } as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** Stands in the `--help` of every command but one. */
export const EXIT_CODES_HELP = `Exit codes:
  ${EXIT.ok}  done
  ${EXIT.failed}  the broker refused, or the command failed
  ${EXIT.usage}  wrong usage: an option, an id or a file that you gave is missing or not valid
  ${EXIT.unreachable}  the broker could not be reached`;

/** Stands in the `--help` of `audit verify`. */
export const VERIFY_EXIT_CODES_HELP = `Exit codes:
  ${EXIT_CODES.sound}  sound: every check passed
  ${EXIT_CODES.tampered}  tampered: something is there that the log's key did not sign
  ${EXIT_CODES.incomplete}  incomplete: what is there is right, but something is missing
  ${EXIT_CODES.could_not_run}  could not run: nothing can be said (wrong usage included)`;
