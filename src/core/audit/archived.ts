/** What whoever asks for entries that were archived is told. */
import { refuse } from '../denials.ts';
import type { Archive } from './retention.ts';

/** Which archive has an entry. */
const archiveWith = (archives: readonly Archive[], index: number): Archive | undefined =>
  archives.find(({ first, before }) => first <= index && index < before);

/** @throws RefusedError `entry_archived`, with the archive that has the entry */
export function refuseArchived(archives: readonly Archive[], index: number): never {
  const archive = archiveWith(archives, index);
  if (!archive) return refuse('entry_archived');
  const { first, before, export: id, sha256, archivedBy } = archive;
  return refuse(
    'entry_archived',
    `Entry ${index} was archived: the entries ${first} to ${before - 1} are in the archive ${id} (SHA-256 ${sha256}), which ${archivedBy} made. Ask them for it, or the host lab, which showed it when it pruned. The log here begins at entry ${archives.at(-1)?.before ?? 0}.`,
  );
}
