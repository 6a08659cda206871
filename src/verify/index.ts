/**
 * `sallyport/verify`: checks what a Sallyport log says, without I/O and without Node, so that it runs in a browser.
 * The formats are those of C2SP (signed-note, tlog-checkpoint, tlog-tiles, tlog-proof) over RFC 6962 trees; see
 * docs/audit-format.md.
 *
 * Nothing here throws for bad evidence: every check gives a verdict. Nothing here trusts a key that it was not given.
 */
import { describeKey, openNote, type NoteVerifier } from '../core/audit/note.ts';
import { toBase64 } from '../core/tlog/bytes.ts';
import {
  checkConsistency,
  openCheckpoint,
  type Checkpoint,
  type LogKey,
} from '../core/tlog/checkpoint.ts';
import { parseVerifierKey } from '../core/tlog/keys.ts';
import type { Primitives } from '../core/tlog/primitives.ts';
import { verifyInclusion } from '../core/tlog/proofs.ts';
import { parseTlogProof } from '../core/tlog/tlog-proof.ts';
import { treeOver, type Tree } from '../core/tlog/tree.ts';
import { checkLog, openTrusted, settle, type LogReport } from './check-log.ts';
import { checkStream, type EntryStream } from './check-stream.ts';
import { Finding, tampered, type VerificationStatus } from './finding.ts';
import type { LogSource } from './log-source.ts';
import { assertOwnPlace } from './own-place.ts';
import { keysThatCount, originIn, parseTrusted } from './trusted-keys.ts';

export type { EntryStream, LogReport, LogSource, Primitives, VerificationStatus };

/** How a check ended. */
export interface Verdict {
  status: VerificationStatus;
  /** The index of the first entry that is wrong or missing, where there is one to blame. */
  firstBadIndex?: number;
  /** One sentence or two that say what is wrong. Undefined when sound. */
  problem?: string;
}

/** What a checkpoint says, once a trusted key was found to have signed it. */
export interface CheckpointVerdict extends Verdict {
  origin?: string;
  /** Entries in the log. */
  size?: number;
  /** The root in base64. */
  root?: string;
  /** The keys that signed it, as `name+key id`; those that are not trusted left out. */
  signedBy?: string[];
}

/** What a receipt proves, once it was found right. */
export interface ReceiptVerdict extends CheckpointVerdict {
  /** The entry's place in the log. */
  index?: number;
}

/**
 * A key as text, or several. Of a log whose key was replaced, one key and the history of its keys (the document at `keys`
 * of the log, or out of an evidence bundle) are enough: it is checked from end to end, and each key counts for the sizes of
 * its time alone. Several keys of one log without its history are refused: a replaced key could have signed anything.
 */
export type TrustedKeys = string | readonly string[] | KeysWithHistory;

/** Keys, and the history of a log's keys as a document. */
export interface KeysWithHistory {
  keys: string | readonly string[];
  history?: string | undefined;
}

/** Checks, over primitives that were handed in. */
export interface Verifier {
  /**
   * A signed checkpoint.
   *
   * @param note as served at `checkpoint`
   * @param keys what the caller trusts; a key that is none gives `could_not_run`
   */
  checkpoint: (note: string | Uint8Array, keys: TrustedKeys) => CheckpointVerdict;
  /**
   * One entry with its receipt: that the log had these bytes at that index when it signed the receipt's checkpoint, and
   * that they say so themselves.
   *
   * @param entry its exact bytes
   * @param receipt the `.tlog-proof`
   */
  receipt: (entry: Uint8Array, receipt: string, keys: TrustedKeys) => ReceiptVerdict;
  /**
   * That a log has only grown between two of its checkpoints. Both signatures are checked first.
   *
   * @param proof the consistency proof's hashes, 32 bytes each, in the order of RFC 9162
   */
  consistency: (
    older: string | Uint8Array,
    newer: string | Uint8Array,
    proof: readonly Uint8Array[],
    keys: TrustedKeys,
  ) => Verdict;
  /**
   * A whole log, out of its tiles: signature, hash tiles, and entries if they are there.
   *
   * @param source reads files below the log's prefix, `checkpoint` among them
   * @param options `entries`: whether entry bundles are read, true unless said otherwise; `seen`: a signed checkpoint of
   *   the same log from before, which it must continue; `onEntry` is given each entry that was found right, which counts
   *   for nothing unless the verdict is `sound`
   */
  log: (source: LogSource, keys: TrustedKeys, options?: LogOptions) => Promise<LogReport>;
  /**
   * A stream of entries, from index 0 on or from where a pruned log begins, against checkpoint and hash tiles. Holds those of one tile.
   *
   * @param entries exact bytes, in pieces of any number
   * @param source reads `checkpoint` and the hash tiles
   */
  entries: (
    entries: EntryStream,
    source: LogSource,
    keys: TrustedKeys,
    options?: Pick<LogOptions, 'onEntry'>,
  ) => Promise<LogReport>;
}

export interface LogOptions {
  entries?: boolean;
  seen?: string | Uint8Array;
  onEntry?: (bytes: Uint8Array) => void;
}

/** Makes a verifier of these primitives. `sallyport/verify/node` and `sallyport/verify/browser` have some. */
export function createVerifier(primitives: Primitives): Verifier {
  const tree: Tree = treeOver({
    sha256: primitives.sha256,
    copy: (hash) => new Uint8Array(hash),
  });
  const parse = (key: string): NoteVerifier => parseVerifierKey(primitives, key);
  /** Taken apart at once; which of them count takes the checkpoint. */
  const keysOf = (trusted: TrustedKeys): ((note: string | Uint8Array) => LogKey[]) => {
    const { keys, history }: KeysWithHistory = isAlone(trusted) ? { keys: trusted } : trusted;
    const given = parseTrusted(parse, [keys].flat());
    return (note) =>
      keysThatCount(parse, given, note, { offered: history, where: 'The history of the keys' });
  };

  return {
    checkpoint: (note, keys) => verdictOf(() => checkpointFacts(note, keysOf(keys)(note))),

    receipt: (entry, receipt, keys) =>
      verdictOf(() => {
        const keysFor = keysOf(keys);
        const parsed = parseTlogProof(receipt);
        if (parsed === undefined) throw tampered('This is not a proof of one entry.');
        const { index, proof, checkpoint: note } = parsed;
        const trusted = keysFor(note);
        const facts = checkpointFacts(note, trusted);
        const { origin, size, root } = openCheckpoint(note, trusted);
        const leafHash = tree.leafHash(entry);
        if (!verifyInclusion(tree, { index, size, leafHash, root, proof })) {
          throw tampered(
            `The proof does not lead from this entry at index ${index} to the signed root.`,
            index,
          );
        }
        assertOwnPlace(entry, index, origin);
        return { ...facts, index };
      }),

    consistency: (older, newer, proof, keys) =>
      verdictOf(() => {
        const found = checkConsistency(tree, older, newer, keysOf(keys)(newer), proof);
        if (!found.consistent) throw tampered(found.problem);
        return {};
      }),

    log: (source, keys, { entries = true, seen, onEntry } = {}) =>
      overSource(source, keys, async (checkpoint, trusted) =>
        checkLog(tree, source, {
          checkpoint,
          keys: trusted,
          entries,
          seen: seen === undefined ? undefined : openSeen(seen, checkpoint, trusted),
          ...(onEntry && { onEntry }),
        }),
      ),

    entries: (entries, source, keys, { onEntry } = {}) =>
      overSource(source, keys, async (checkpoint, trusted) =>
        checkStream(tree, entries, source, {
          checkpoint,
          keys: trusted,
          ...(onEntry && { onEntry }),
        }),
      ),
  };

  async function overSource(
    source: LogSource,
    keys: TrustedKeys,
    check: (checkpoint: Uint8Array, trusted: LogKey[]) => Promise<LogReport>,
  ): Promise<LogReport> {
    const report: LogReport = { status: 'sound', entriesChecked: 0, checked: [] };
    try {
      const keysFor = keysOf(keys);
      const checkpoint = await source.read('checkpoint');
      if (checkpoint === undefined) throw new Finding('incomplete', 'checkpoint is missing.');
      return await check(checkpoint, keysFor(checkpoint));
    } catch (error) {
      settle(report, error);
      return report;
    }
  }
}

const isAlone = (keys: TrustedKeys): keys is string | readonly string[] =>
  typeof keys === 'string' || Array.isArray(keys);

function checkpointFacts(
  note: string | Uint8Array,
  keys: readonly LogKey[],
): Omit<CheckpointVerdict, 'status'> {
  const report: LogReport = { status: 'sound', entriesChecked: 0, checked: [] };
  const { origin, size, root } = openTrusted(note, keys, report).checkpoint;
  const signedBy = openNote(note, keys).verified.map(describeKey);
  return { origin, size, root: toBase64(root), signedBy };
}

/** What was kept proves nothing unless a trusted key signed it; which is no fault of the log. */
function openSeen(note: string | Uint8Array, now: Uint8Array, keys: readonly LogKey[]): Checkpoint {
  if (originIn(note) !== originIn(now))
    throw new Finding(
      'could_not_run',
      'The checkpoint that was seen before is of another log: nothing can be compared with it.',
    );
  try {
    return openCheckpoint(note, keys);
  } catch (error) {
    throw new Finding(
      'could_not_run',
      `The checkpoint that was seen before is not to be trusted. ${(error as Error).message}`,
    );
  }
}

function verdictOf<T extends object>(check: () => T): Verdict & Partial<T> {
  try {
    return { status: 'sound', ...check() };
  } catch (error) {
    const report: LogReport = { status: 'sound', entriesChecked: 0, checked: [] };
    settle(report, error);
    const { status, problem, firstBadIndex } = report;
    return {
      status,
      ...(problem !== undefined && { problem }),
      ...(firstBadIndex !== undefined && { firstBadIndex }),
    } as Verdict & Partial<T>;
  }
}
