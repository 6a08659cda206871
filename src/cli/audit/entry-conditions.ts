/** What entries are asked for by: the same options for listing and for exporting them. */
import type { Command } from 'commander';
import { id } from '../arguments.ts';

export interface EntryConditions {
  ref?: string;
  kind?: string;
  grant?: string;
}

export function withEntryConditions(command: Command): Command {
  return command
    .option('--ref <id>', 'only of this request, grant, order, token or person')
    .option('--kind <kind>', 'only of this kind, such as request.denied')
    .option('--grant <id>', 'only under this grant', id('grt'));
}

/** As the API takes them. */
export const conditionsOf = ({ ref, kind, grant }: EntryConditions): EntryConditions => ({
  ...(ref === undefined ? {} : { ref }),
  ...(kind === undefined ? {} : { kind }),
  ...(grant === undefined ? {} : { grant }),
});
