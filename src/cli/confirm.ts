/** Asks before what cannot be undone. */
import { failed, wrongUsage } from './problems.ts';
import type { Surroundings } from './surroundings.ts';

export interface ConfirmOption {
  yes?: boolean;
}

/** What `--yes` is for. */
export const YES_OPTION = ['--yes', 'do it without being asked'] as const;

/**
 * Returns when somebody at the terminal agrees, or did with `--yes`.
 *
 * @throws CliError when they do not, or nobody is there to ask
 */
export async function mustConfirm(
  around: Surroundings,
  question: string,
  { yes }: ConfirmOption,
): Promise<void> {
  if (yes) return;
  if (!around.interactive)
    throw wrongUsage(`There is nobody to ask: "${question}" Add --yes if that is what you want.`);
  if (!(await around.confirm(question))) throw failed('Nothing was changed.');
}
