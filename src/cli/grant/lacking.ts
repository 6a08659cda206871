/** What a grant requires of a person and is not known of them. */
import { commandLine } from '../command-line.ts';
import { note } from '../output.ts';
import type { Surroundings } from '../surroundings.ts';
import type { Grant } from '../wire.ts';

/** Tells the caller what is lacking of them, and who must set it: they cannot themselves. */
export function noteLacking(
  around: Surroundings,
  { roster }: Pick<Grant, 'roster'>,
  person: string,
): void {
  const lacking = roster.find(({ personId }) => personId === person)?.lacking ?? [];
  if (lacking.length === 0) return;
  const set = lacking.map((name) => `--set ${name}=…`).join(' ');
  note(
    around,
    `The grant requires what is not known of you: ${lacking.join(', ')}. Before you get a token, your lead or an admin of the host lab runs: ${commandLine(around, `person set-attributes ${person} ${set}`)}`,
  );
}
