/** What the main thread and the keeper of transcripts say to each other. */
import type { Keeping } from '../../core/transcripts/keeping.ts';
import type { BodyPart } from '../../core/transcripts/records.ts';

/** Handed to the keeper's thread when it starts. */
export interface KeeperSettings {
  /** Path of the database of transcripts. */
  path: string;
}

/** Which body. */
export interface BodyName {
  request: string;
  part: BodyPart;
}

/** Whole bodies, as records one behind the other. */
interface Pack {
  kind: 'pack';
  id: number;
  keeping: Keeping;
  at: number;
  bodies: BodyName[];
  /** Where the records of each body end. */
  ends: number[];
  bytes: Uint8Array;
}

/** A record of a body that is a file of its own. */
interface Piece extends BodyName {
  kind: 'piece';
  id: number;
  keeping: Keeping;
  at: number;
  bytes: Uint8Array;
  isFirst: boolean;
  isLast: boolean;
}

/** What is to be destroyed: what was written, or is due to be destroyed, at these moments or before. */
export interface DestroyWhat {
  grantId: string;
  /** Epoch milliseconds; null: whenever. */
  writtenUntil: number | null;
  dueUntil: number | null;
  /** Requests whose bodies are kept all the same. */
  held: readonly string[];
}

export type Work =
  | Pack
  | Piece
  /** The body is no part of a call that anybody made. */
  | ({ kind: 'withdraw'; id: number } & BodyName)
  | ({ kind: 'destroy'; id: number } & DestroyWhat)
  /** Nothing by itself: the database holds with it all that the journal held before. */
  | { kind: 'catchUp'; id: number };

export type ToKeeper = { kind: 'work'; work: Work[] } | { kind: 'stop' };

/** What was stored. */
export interface StoredFile {
  /** SHA-256 of its bytes, hex. */
  sha256: string;
  /** Its length. */
  bytes: number;
  /** When it is destroyed at the latest, epoch milliseconds. */
  until: number;
}

/** What one step destroyed. */
export interface Destroyed {
  files: number;
  /** Whether there may be more. */
  more: boolean;
  /** Files that are to be destroyed and are being written: they can be once they are ended. */
  open: number;
}

export type Done =
  /** One for each body of a pack; for a piece, once it was the last. */
  | { id: number; files: (StoredFile | undefined)[] }
  | { id: number; destroyed: Destroyed }
  /** Committed, and on the disk all the same as long as somebody reads it: to be asked for again. */
  | { id: number; notErased: string }
  | { id: number; failed: string };

export type FromKeeper =
  | { kind: 'ready' }
  | { kind: 'refused_to_start'; reason: string }
  /** `messages`: how many messages of work that answers. */
  | { kind: 'done'; done: Done[]; messages: number }
  | { kind: 'stopped' };

/** One file on its way into the store, as whoever seals makes it. */
export interface FileStream {
  /** Takes bytes; hands back what is finished of the file. */
  update(bytes: Uint8Array): Buffer[];
  final(): Buffer[];
}

/** Begins a file that nobody but its recipients can open. */
export type Seal = (recipients: readonly string[]) => FileStream;
