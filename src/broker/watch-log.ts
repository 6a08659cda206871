/** Being a witness: cosigning the checkpoints of a partner's log, for as long as it only grows (C2SP tlog-witness). */
import { parseAddCheckpoint } from '../core/audit/add-checkpoint.ts';
import { CheckpointError, type Checkpoint } from '../core/audit/checkpoint.ts';
import { withoutHistory, type KeyRange } from '../core/audit/key-history.ts';
import { NoteError } from '../core/audit/note.ts';
import { openSeen, seenCheckpoint, type SeenCheckpoint } from '../core/audit/split-view.ts';
import type { WatchedLog } from '../core/audit/witness-settings.ts';
import { RefusedError, refuse } from '../core/denials.ts';
import { mintId } from '../lib/ids.ts';
import type { SplitViewTold } from '../store/operations/split-views.ts';
import type { Broker } from './broker.ts';
import { mayRead } from './reach.ts';

export type WatchAnswer =
  /** A signature line. */
  | { cosigned: string }
  /** The size that this witness knows. */
  | { conflict: number };

/**
 * Cosigns a checkpoint, if it continues what this witness knows of that log. What is accepted is durable before the
 * cosignature is made.
 *
 * @param address the caller's: nobody shows who they are, the log's signature does
 * @throws RefusedError `too_many_calls`, `invalid_request` (400), `unknown_log` (404), `checkpoint_not_signed` (403),
 *   `checkpoint_inconsistent` (422)
 */
export async function addCheckpoint(
  broker: Broker,
  address: string,
  body: string,
): Promise<WatchAnswer> {
  try {
    broker.witness.rate.admit(address);
    return await watch(broker, body);
  } catch (error) {
    if (error instanceof RefusedError) {
      broker.unauthenticated.count('witness', error.refusal.code);
    }
    throw error;
  }
}

async function watch(broker: Broker, body: string): Promise<WatchAnswer> {
  const { store, witness, clock, metrics } = broker;
  const asked =
    parseAddCheckpoint(body) ??
    refuse(
      'invalid_request',
      'The body is a line "old SIZE", the lines of a consistency proof, an empty line, and a signed checkpoint (C2SP tlog-witness).',
    );
  const { old, proof } = asked;
  const log = watchedLogOf(broker, asked.note);
  const { note, size } = openSigned(asked.note, withoutHistory(log.verifierKeys));
  if (old > size) refuse('invalid_request', 'The old size is larger than the checkpoint.');
  const result = await store.write('watchCheckpoint', {
    note,
    old,
    proof: proof.map((hash) => hash.toString('base64')),
    recordEveryMs: witness.recordEveryMs,
    told: toldOfWatched(broker, log, 'witness'),
  });
  metrics.logWatched(log.origin, result.verdict);
  switch (result.verdict) {
    case 'cosign':
      return { cosigned: witness.key.cosign(result.text, clock()) };
    case 'conflict':
      return { conflict: result.size };
    case 'inconsistent':
      return refuse('checkpoint_inconsistent');
  }
}

/** The log of a checkpoint, by its first line: nothing of it is trusted yet. @throws RefusedError */
export function watchedLogOf({ witness }: Broker, note: string): WatchedLog {
  return witness.logs.get(readCheckpoint(note).origin) ?? refuse('unknown_log');
}

/** @throws RefusedError `invalid_request` */
export function readCheckpoint(note: string): Checkpoint {
  try {
    return seenCheckpoint(note);
  } catch (error) {
    if (error instanceof NoteError || error instanceof CheckpointError)
      refuse('invalid_request', error.message);
    throw error;
  }
}

/**
 * Opens a checkpoint that can be read. What anybody may have added to its note is left out.
 *
 * @throws RefusedError `checkpoint_not_signed`
 */
export function openSigned(note: string, keys: readonly KeyRange[]): SeenCheckpoint {
  try {
    return openSeen(note, keys);
  } catch (error) {
    if (error instanceof NoteError || error instanceof CheckpointError)
      refuse('checkpoint_not_signed', error.message);
    throw error;
  }
}

/** Who is told of what is wrong with a log that we watch: the host, and the lab whose log it is. */
export function toldOfWatched(
  { clock, policy, readers }: Broker,
  { lab }: WatchedLog,
  source: SplitViewTold['source'],
): SplitViewTold {
  const at = clock();
  const labId = lab !== undefined && policy.lab(lab) ? lab : undefined;
  const to = [readers.hostLabId(), labId].flatMap((id) => (id ? [{ labId: id }] : []));
  return { id: mintId('spv', at), entryId: mintId('ent', at), at, source, labId, to };
}

/** A log that we watch, and what we know of it. */
export interface ShownWatchedLog extends WatchedLog {
  /** Of the largest checkpoint that we cosigned; undefined: none yet. */
  size: number | undefined;
  /** When we did, epoch milliseconds. */
  at: number | undefined;
  note: string | undefined;
}

export function listWatchedLogs(broker: Broker, actorId: string): ShownWatchedLog[] {
  mayRead(broker, actorId, 'watched_log.read');
  return [...broker.witness.logs.values()].map((log) => {
    const known = broker.readers.readWatched(log.origin);
    return { ...log, size: known?.size, at: known?.at, note: known?.note };
  });
}
