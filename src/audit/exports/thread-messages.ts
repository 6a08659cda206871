/** What the main thread and the thread of an export say to each other. */
import type { Chunk, Written } from './chunk-sink.ts';
import type { ExportPlan } from './export-plan.ts';

/** Handed to the thread when it starts. */
export interface ExportOrder {
  /** Path of the database. */
  database: string;
  plan: ExportPlan;
  /** Memory that says how much room there is (chunk-sink.ts). */
  shared: SharedArrayBuffer;
  /** Bytes at the beginning that are not sent; null: none are, the export is only measured. */
  skip: number | null;
  /** What a keyed digest of all bytes is made under; null: none is wanted. */
  key: string | null;
}

export type FromExporter =
  | ({ kind: 'chunk' } & Chunk)
  | ({ kind: 'written' } & Written)
  | { kind: 'failed'; reason: string };
