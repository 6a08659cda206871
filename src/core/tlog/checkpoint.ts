/** Checkpoints: C2SP tlog-checkpoint without extension lines, signed by a key that bears the origin's name. */
import { NoteError, describeKey, formatNote, openNote, type NoteVerifier } from '../audit/note.ts';
import { equalBytes, fromBase64, toBase64 } from './bytes.ts';
import { verifyConsistency } from './proofs.ts';
import { HASH_BYTES, assertTreeSize, type Tree } from './tree.ts';

/** The log at one moment: its name, how many entries it has, and the root of the tree over them. */
export interface Checkpoint<B extends Uint8Array = Uint8Array> {
  origin: string;
  size: number;
  root: B;
}

/** A key of a log. One that was replaced, or that replaced another, counts for the sizes of its time alone. */
export interface LogKey extends NoteVerifier {
  /** It signs for checkpoints larger than this; undefined: for the smallest. */
  after?: number;
  /** And for none larger than this; undefined: for the largest. */
  upTo?: number;
  /** Of that size, for this root alone; undefined: for any. */
  lastRoot?: Uint8Array | undefined;
}

/** Thrown for a text that is not a checkpoint, or not the named log's. The message says why. */
export class CheckpointError extends Error {
  override readonly name = 'CheckpointError';
}

/** The body that is signed: `origin\nsize\nbase64(root)\n`. Throws RangeError for values that cannot be right. */
export function formatCheckpoint({ origin, size, root }: Checkpoint): string {
  assertTreeSize(size);
  if (origin === '' || origin.includes('\n'))
    throw new RangeError('An origin is one line of text.');
  if (root.length !== HASH_BYTES) throw new RangeError('A root is a hash of 32 bytes.');
  return `${origin}\n${size}\n${toBase64(root)}\n`;
}

/** Reads a checkpoint's body. Throws CheckpointError for everything {@link formatCheckpoint} would not write. */
export function parseCheckpoint(body: string): Checkpoint {
  const [origin = '', decimal = '', encoded = '', end, ...more] = body.split('\n');
  if (end !== '' || more.length > 0) {
    throw new CheckpointError('A checkpoint has three lines: origin, size and root.');
  }
  if (origin === '') throw new CheckpointError('The checkpoint does not name its log.');
  const size = Number(decimal);
  if (!/^(0|[1-9]\d*)$/.test(decimal) || !Number.isSafeInteger(size)) {
    throw new CheckpointError(`“${decimal}” is not a checkpoint's size.`);
  }
  const root = fromBase64(encoded);
  if (root?.length !== HASH_BYTES) {
    throw new CheckpointError("The checkpoint's root is not a hash of 32 bytes in base64.");
  }
  return { origin, size, root };
}

/**
 * Opens a signed checkpoint: checks the signature, then the body.
 *
 * @param note the checkpoint as served or exported
 * @param keys the key the caller trusts, or several of one log whose key was rotated; a key counts
 *   only for the log whose name it bears, and for the sizes of its time
 * @throws NoteError when no trusted key signed it or a signature is wrong, CheckpointError when what was
 *   signed is not this log's checkpoint
 */
export function openCheckpoint(note: string | Uint8Array, keys: readonly LogKey[]): Checkpoint {
  return openSigned(note, keys).checkpoint;
}

/**
 * The same as {@link openCheckpoint}, the key that counts for it, and the note with these keys' signatures alone, one of
 * each: what is kept of it must not grow by lines that anybody can add.
 */
export function openSigned<K extends LogKey>(
  note: string | Uint8Array,
  keys: readonly K[],
): { checkpoint: Checkpoint; key: K; note: string } {
  const { text, verified } = openNote(note, keys);
  const checkpoint = parseCheckpoint(text);
  const { origin, size } = checkpoint;
  const mayBe = verified.filter(({ name }) => name === origin);
  if (mayBe.length === 0) {
    throw new CheckpointError(
      `The checkpoint is of the log ${origin}, but ${verified.map(({ name }) => name).join(', ')} signed it.`,
    );
  }
  const key = keys.find(
    ({ name, keyId, after = -1, upTo = Infinity }) =>
      mayBe.some((by) => by.name === name && by.keyId === keyId) && after < size && size <= upTo,
  );
  if (key?.lastRoot && key.upTo === size && !equalBytes(key.lastRoot, checkpoint.root))
    throw new CheckpointError(
      `The log was shown in two versions: this checkpoint of ${size} entries has another root than the one with which its key was replaced.`,
    );
  if (key) {
    const lines = new Map(mayBe.map((line) => [line.keyId, line]));
    return { checkpoint, key, note: formatNote(text, [...lines.values()]) };
  }
  throw new CheckpointError(
    `The checkpoint of ${size} entries is signed by ${mayBe.map(describeKey).join(', ')}, which did not sign for the log of that size: another key had taken over, or had not yet.`,
  );
}

/** Whether one checkpoint continues the other, and if not, why. */
export type ConsistencyVerdict = { consistent: true } | { consistent: false; problem: string };

/**
 * Checks that a log has only grown between two of its checkpoints. Both signatures are checked first:
 * a proof between roots that nobody signed shows nothing.
 *
 * @param older signed checkpoint the caller kept
 * @param newer signed checkpoint of the same log
 * @param keys as for {@link openCheckpoint}
 * @param proof the consistency proof's hashes between the two sizes
 */
export function checkConsistency(
  tree: Tree,
  older: string | Uint8Array,
  newer: string | Uint8Array,
  keys: readonly LogKey[],
  proof: readonly Uint8Array[],
): ConsistencyVerdict {
  const refuse = (problem: string): ConsistencyVerdict => ({ consistent: false, problem });
  const before = openOrExplain('older', older, keys);
  if (typeof before === 'string') return refuse(before);
  const after = openOrExplain('newer', newer, keys);
  if (typeof after === 'string') return refuse(after);
  if (before.origin !== after.origin) {
    return refuse(`The checkpoints are of two logs: ${before.origin} and ${after.origin}.`);
  }
  if (before.size > after.size) {
    return refuse(
      `The log shrank: the older checkpoint has ${before.size} entries, the newer ${after.size}.`,
    );
  }
  if (before.size === after.size && !equalBytes(before.root, after.root)) {
    return refuse(
      `The log was shown in two versions: both signed checkpoints have ${before.size} entries, and their roots differ.`,
    );
  }
  const proven = verifyConsistency(tree, {
    oldSize: before.size,
    oldRoot: before.root,
    newSize: after.size,
    newRoot: after.root,
    proof,
  });
  if (!proven) {
    return refuse(
      `The proof does not show that the log of ${after.size} entries begins with the one of ${before.size}.`,
    );
  }
  return { consistent: true };
}

function openOrExplain(
  which: string,
  note: string | Uint8Array,
  keys: readonly LogKey[],
): Checkpoint | string {
  try {
    return openCheckpoint(note, keys);
  } catch (error) {
    if (error instanceof NoteError || error instanceof CheckpointError) {
      return `The ${which} checkpoint is not to be trusted. ${error.message}`;
    }
    throw error;
  }
}
