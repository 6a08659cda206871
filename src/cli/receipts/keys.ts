/** The log's keys, as commands take them that check what they are given. */
import { readInputFile } from '../input-file.ts';

/**
 * Verifier keys of `--key`: the key itself, or `@FILE` with one on each line, for a log whose key was replaced.
 *
 * @throws CliError where the file cannot be read
 */
export function verifierKeys(given: readonly string[]): string[] {
  return given.flatMap((key) =>
    key.startsWith('@')
      ? readInputFile(key.slice(1), 'verifier key')
          .split('\n')
          .map((line) => line.trim())
          .filter((line) => line !== '')
      : [key],
  );
}
