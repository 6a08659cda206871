/** How hints name commands: so that they can be pasted where this one was started. */
import type { Surroundings } from './surroundings.ts';

/** What runs the command here: npm sets the variable for whatever it starts, and then its own name is not in the path. */
export function sallyport(env: Surroundings['env']): string {
  return env['npm_command'] ? 'npx sallyport' : 'sallyport';
}

/**
 * A command line to go on with.
 *
 * @param words the command and its arguments
 * @param profile the one that this command was given: the next one is the same person's
 */
export function commandLine(
  { env }: Pick<Surroundings, 'env'>,
  words: string,
  profile?: string,
): string {
  return `${sallyport(env)} ${words}${profile === undefined ? '' : ` --profile ${profile}`}`;
}

/** A sentence that names commands, as the broker's do, with what runs them here. */
export function asTyped(env: Surroundings['env'], sentence: string): string {
  return sentence.replaceAll('"sallyport ', `"${sallyport(env)} `);
}
