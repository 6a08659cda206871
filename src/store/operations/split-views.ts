/** Two checkpoints of one log that do not agree: what proves it is kept, and those concerned are told. */
import { createHash } from 'node:crypto';
import { eq } from 'drizzle-orm';
import {
  seenCheckpoint,
  type SplitView,
  type SplitViewKind,
  type SplitViewSource,
} from '../../core/audit/split-view.ts';
import { formatCheckpoint } from '../../core/audit/checkpoint.ts';
import type { NoticeDraft } from '../../core/notices.ts';
import type { WriterContext } from '../context.ts';
import { notify } from '../notify.ts';
import { splitViews } from '../schema.ts';
import type { Operation } from './operation.ts';

/** What is told of a split view, and to whom. */
export interface SplitViewTold {
  /** Ids of the record, if one is made, and of its entry. */
  id: string;
  entryId: string;
  at: number;
  source: SplitViewSource;
  /** The partner whose log it is; undefined: our own, or that of no lab here. */
  labId?: string | undefined;
  /** Who is told. */
  to: NoticeDraft['to'];
}

/** As it crosses to the writer: hashes in base64. */
export interface SplitViewEvidence {
  kind: SplitViewKind;
  origin: string;
  older: string;
  newer: string;
  past: { root: string; proof: string[] } | undefined;
}

export function toEvidence({ origin, older, newer, past }: SplitView): SplitViewEvidence {
  return {
    kind: 'proven',
    origin,
    older,
    newer,
    past: past && {
      root: past.root.toString('base64'),
      proof: past.proof.map((hash) => hash.toString('base64')),
    },
  };
}

/** Keeps two checkpoints that do not agree, once, and says so. */
export const keepSplitView: Operation<
  { evidence: SplitViewEvidence; told: SplitViewTold },
  { id: string; isNew: boolean }
> = {
  run: (context, { evidence, told }) => keepEvidence(context, evidence, told),
};

/** The same, in the transaction of what found it. */
export function keepEvidence(
  context: WriterContext,
  evidence: SplitViewEvidence,
  { id, entryId, at, source, labId, to }: SplitViewTold,
): { id: string; isNew: boolean } {
  const { kind, origin, older, newer, past } = evidence;
  const [before, after] = [older, newer].map(seenCheckpoint) as [Seen, Seen];
  const pair = pairOf(before, after);
  const known = context.db.select().from(splitViews).where(eq(splitViews.pair, pair)).get();
  // Better evidence for the same two takes the place of none.
  if (known && (known.kind === 'proven' || kind === 'unproven'))
    return { id: known.id, isNew: false };
  const proof = past && { pastRoot: Buffer.from(past.root, 'base64'), proof: past.proof };
  const values = {
    id: known?.id ?? id,
    origin,
    at,
    kind,
    source,
    labId,
    older,
    newer,
    pair,
    ...proof,
  };
  context.db
    .insert(splitViews)
    .values(values)
    .onConflictDoUpdate({ target: splitViews.id, set: { kind, at, ...proof } })
    .run();
  const data = { splitView: values.id, verdict: kind, source, sizes: [before.size, after.size] };
  context.append({
    id: entryId,
    kind: 'log.split_view',
    at,
    actor: { system: 'broker' },
    ref: origin,
    lab: labId,
    data: { ...data, older, newer, past },
  });
  notify(context, {
    kind: 'log.split_view',
    ref: values.id,
    at,
    to,
    title: titleOf(kind, origin, before.size, after.size),
    data: { origin, ...data },
  });
  return { id: values.id, isNew: true };
}

type Seen = ReturnType<typeof seenCheckpoint>;

function titleOf(kind: SplitViewKind, origin: string, older: number, newer: number): string {
  const what =
    older === newer
      ? `two checkpoints of ${older} entries`
      : `checkpoints of ${older} and of ${newer} entries`;
  return kind === 'proven'
    ? `The log ${origin} was shown in two versions: it signed ${what} that do not agree. See "sallyport audit split-views".`
    : `The key of ${origin} signed a checkpoint of ${newer} entries, and its log has not as many: this is an older copy of the log, or the key is in other hands. See "sallyport audit split-views".`;
}

/** The same for the same two checkpoints, whoever signed them besides. */
function pairOf(one: Seen, other: Seen): string {
  const texts = [one, other].map(formatCheckpoint).sort();
  return createHash('sha256').update(texts.join('\n')).digest('hex');
}
