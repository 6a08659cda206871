/** What an export is made from, and what its bytes go into. */
import type { EntrySearch } from '../../core/audit/entry-search.ts';
import type { ReadTile } from '../../core/audit/tiles.ts';
import type { ExportRange, ExportedFormat } from '../../core/audit/exports.ts';

/** All that the bytes of an export follow from, beside the log itself: the same plan gives the same bytes. */
export interface ExportPlan {
  id: string;
  /** `figures`: what a report is made from. */
  format: ExportedFormat | 'figures';
  /** Of figures: of the entries of this run alone. */
  run?: string | undefined;
  range: ExportRange;
  /** What the entries are about, within the reach of whoever exports. */
  filter: EntrySearch;
  /** Index of the entry that records the export. */
  record: number;
  /** The signed checkpoint that fixes the log's size. */
  checkpoint: string;
  /** The key that signed it. */
  verifierKey: string;
  /** Of a log whose key was replaced: the history of its keys, as it was when the export was recorded. */
  keyHistory?: string | undefined;
}

/** An entry of the log: its exact bytes. */
interface ExportedEntry {
  index: number;
  bytes: Buffer;
}

export interface ExportSource {
  plan: ExportPlan;
  /** The entry that records the export. */
  record: Buffer;
  /** What is exported, in the order of the log, in batches of bounded size. */
  batches: () => Iterable<readonly ExportedEntry[]>;
  tile: ReadTile;
}

/** Takes the bytes of an export, at the pace of whoever reads them: it returns when there is room for more. */
export interface ExportSink {
  write(bytes: Uint8Array): void;
  /** Counts entries whose bytes were written. */
  wrote(entries: number): void;
}
