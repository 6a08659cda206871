/** What follows when access under a grant ends. */
import { commandLine } from '../command-line.ts';
import { note } from '../output.ts';
import type { Surroundings } from '../surroundings.ts';
import type { Grant } from '../wire.ts';

/** Says where to look for what is to be done now, if the text of the grant asks for anything. */
export function noteDuties(
  around: Surroundings,
  { id, spec }: Pick<Grant, 'id' | 'spec'>,
  profile: string | undefined,
): void {
  if (spec.duties.length > 0)
    note(
      around,
      `Next: see which duties have begun: ${commandLine(around, `duty list --grant ${id}`, profile)}`,
    );
}
