/** What witnesses signed of our log. */
import { and, desc, eq, lte, ne } from 'drizzle-orm';
import type { EntryDraft } from '../../core/audit/entry.ts';
import type { WitnessPolicy } from '../../core/audit/witnessing.ts';
import type { NoticeDraft } from '../../core/notices.ts';
import type { Db } from '../database.ts';
import { notify } from '../notify.ts';
import { checkpoints, cosignatures } from '../schema.ts';
import { newestWitnessedSize } from '../witness-rows.ts';
import type { Operation } from './operation.ts';

/** Cosignatures that are kept of a witness, besides that of the newest witnessed checkpoint. */
const MOST_COSIGNATURES = 1_000;

/** A cosignature that was found good. Without an entry: two logs that watch each other would never rest. */
export const keepCosignature: Operation<
  {
    size: number;
    /** The signed text that it is of: a checkpoint of that size, and no other. */
    text: string;
    witnessKey: string;
    line: string;
    signedAt: number;
    at: number;
    /** What counts as witnessed: the newest such checkpoint keeps its cosignatures, however old it is. */
    policy: WitnessPolicy;
  },
  { isKept: boolean }
> = {
  run({ db }, { text, policy, ...cosignature }) {
    const { size, witnessKey } = cosignature;
    const row = db.select().from(checkpoints).where(eq(checkpoints.size, size)).get();
    if (!row?.note.startsWith(`${text}\n`)) return { isKept: false };
    const { line, signedAt, at } = cosignature;
    db.insert(cosignatures)
      .values(cosignature)
      .onConflictDoUpdate({
        target: [cosignatures.size, cosignatures.witnessKey],
        set: { line, signedAt, at },
      })
      .run();
    dropOld(db, witnessKey, policy);
    return { isKept: true };
  },
};

/** Others may still cosign what a witness cosigned lately; what is older than that stays as it is, and witnessed or not. */
function dropOld(db: Db, witnessKey: string, policy: WitnessPolicy): void {
  const theirs = eq(cosignatures.witnessKey, witnessKey);
  const oldest = db
    .select({ size: cosignatures.size })
    .from(cosignatures)
    .where(theirs)
    .orderBy(desc(cosignatures.size))
    .limit(1)
    .offset(MOST_COSIGNATURES)
    .get();
  if (!oldest) return;
  const witnessed = newestWitnessedSize(db, policy) ?? -1;
  db.delete(cosignatures)
    .where(and(theirs, lte(cosignatures.size, oldest.size), ne(cosignatures.size, witnessed)))
    .run();
}

/** A witness knows more of our log than we do: what we have is an older copy. */
export const noteBehind: Operation<
  {
    entryId: string;
    at: number;
    witness: string;
    verifierKey: string;
    /** What it says that it cosigned. */
    size: number;
    to: NoticeDraft['to'];
  },
  void
> = {
  run(context, { entryId: id, at, witness, verifierKey, size, to }) {
    const { origin } = context.log;
    const data = { witness, verifierKey, known: size, size: context.size };
    context.append({ id, kind: 'log.behind', at, actor: BROKER, ref: origin, data });
    notify(context, {
      kind: 'log.behind',
      ref: origin,
      at,
      to,
      title: `The witness ${witness} has cosigned ${size} entries of ${origin}, and here are ${context.size}: this is an older copy of the log, or the witness is wrong. Stop the broker and restore the newest copy.`,
      data,
    });
  },
};

const BROKER: EntryDraft['actor'] = { system: 'broker' };
