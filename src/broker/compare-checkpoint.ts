/** A checkpoint that somebody saw, held against what this broker has; and the split views that were found. */
import {
  compareByTree,
  compareCheckpoints,
  openSeen,
  seenCheckpoint,
  type Comparison,
} from '../core/audit/split-view.ts';
import { withoutHistory } from '../core/audit/key-history.ts';
import { hashesFromTiles } from '../core/audit/tiles.ts';
import { mintId } from '../lib/ids.ts';
import { rangesOf } from '../store/log-key-rows.ts';
import type { PageRequest } from '../store/page.ts';
import {
  toEvidence,
  type SplitViewEvidence,
  type SplitViewTold,
} from '../store/operations/split-views.ts';
import type { SplitViewRow } from '../store/witness-rows.ts';
import type { Broker } from './broker.ts';
import { mayRead } from './reach.ts';
import { openSigned, readCheckpoint, toldOfWatched, watchedLogOf } from './watch-log.ts';

/** What a checkpoint that was handed in comes to. */
export interface Compared {
  verdict: Comparison['verdict'];
  origin: string;
  /** Of the checkpoint that it was held against; undefined: there is none yet. */
  against: number | undefined;
  /** Id of the record that is kept; undefined where there is nothing to keep. */
  splitView: string | undefined;
}

/**
 * Holds a checkpoint that somebody saw against our log, or against what we know of a log that we watch. Where they do
 * not agree, both are kept. Whoever does not trust this broker asks for its checkpoint and hashes, and compares by
 * themselves: "sallyport audit compare" does both.
 *
 * @throws RefusedError `too_many_calls`, `invalid_request`, `unknown_log`, `checkpoint_not_signed`
 */
export async function compareCheckpoint(
  broker: Broker,
  address: string,
  note: string,
): Promise<Compared> {
  broker.witness.rate.admit(address);
  const { origin } = readCheckpoint(note);
  return origin === broker.store.origin ? compareOwn(broker, note) : compareWatched(broker, note);
}

async function compareOwn(broker: Broker, note: string): Promise<Compared> {
  const { readers, store, policy, clock } = broker;
  const { origin } = store;
  const keys = rangesOf(readers.listLogKeys());
  const seen = openSigned(note, keys);
  const own = readers.latestCheckpoint();
  if (!own) return { verdict: 'undecided', origin, against: undefined, splitView: undefined };
  const ours = openSeen(own.note, keys);
  // Our key signed for more entries than the log has here: nothing can be computed, and it is not as it should be.
  const compared: Comparison =
    seen.size > ours.size
      ? { verdict: 'undecided' }
      : compareByTree(seen, ours, hashesFromTiles(ours.size, readers.readTile));
  const at = clock();
  const to = [...policy.labs()].map(({ id }) => ({ labId: id }));
  const told: SplitViewTold = {
    id: mintId('spv', at),
    entryId: mintId('ent', at),
    at,
    source: 'handed_in',
    to,
  };
  const evidence = evidenceOf(compared);
  const unproven: SplitViewEvidence | undefined =
    seen.size > readers.logSize()
      ? { kind: 'unproven', origin, older: ours.note, newer: seen.note, past: undefined }
      : undefined;
  const splitView = await keep(broker, evidence ?? unproven, told);
  return { verdict: compared.verdict, origin, against: ours.size, splitView };
}

async function compareWatched(broker: Broker, note: string): Promise<Compared> {
  const log = watchedLogOf(broker, note);
  const { origin } = log;
  const seen = openSigned(note, withoutHistory(log.verifierKeys));
  const known = broker.readers.readWatched(origin);
  if (!known) return { verdict: 'undecided', origin, against: undefined, splitView: undefined };
  const told = toldOfWatched(broker, log, 'handed_in');
  // Of its own size there may be one that the log showed before, cosigned or not.
  const sameSize = broker.readers.readShown(origin, seen.size);
  const before = sameSize && !sameSize.root.equals(seen.root) ? sameSize : known;
  const compared = compareCheckpoints(seen, seenCheckpoint(before.note), undefined);
  const splitView = await keep(broker, evidenceOf(compared), told);
  return { verdict: compared.verdict, origin, against: before.size, splitView };
}

const evidenceOf = (compared: Comparison): SplitViewEvidence | undefined =>
  compared.verdict === 'split' ? toEvidence(compared.evidence) : undefined;

async function keep(
  { store }: Broker,
  evidence: SplitViewEvidence | undefined,
  told: SplitViewTold,
): Promise<string | undefined> {
  return evidence && (await store.write('keepSplitView', { evidence, told })).id;
}

/** Newest first: those of this log, for everybody; those of a log that we watch, for its lab and whoever sees all. */
export function listSplitViews(broker: Broker, actorId: string, page: PageRequest): SplitViewRow[] {
  const { member, reach } = mayRead(broker, actorId, 'split_view.read');
  const visibleTo =
    reach === 'all' ? undefined : { origin: broker.store.origin, labId: member.lab.id };
  return broker.readers.listSplitViews(page, { visibleTo });
}
