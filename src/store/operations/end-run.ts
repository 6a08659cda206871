/** Handing a run back. */
import { and, eq } from 'drizzle-orm';
import { refuse } from '../../core/denials.ts';
import { grants, runs, tokens } from '../schema.ts';
import { endSelectedTokens } from './end-tokens.ts';
import { controlOperation, type By } from './operation.ts';
import { recordTokensEnded, summary, type TokensEnded } from './revoke-tokens.ts';

export interface RunEnded extends TokensEnded {
  /** When the run ended; null: it goes on, and only the actor's own tokens of it were ended. */
  endedAt: number | null;
}

/**
 * Ends a run: its tokens end, and it takes none any more. Several people can share a run. Whoever reaches
 * no further than what is their own ends it if they began it, and otherwise their own tokens of it. Ending
 * what has ended already succeeds and changes nothing.
 */
export const endRun = controlOperation(
  'run.end',
  (context, { by, runId }: { by: By; runId: string }, who): RunEnded => {
    const { db } = context;
    const found = db
      .select({ run: runs, labId: grants.labId })
      .from(runs)
      .innerJoin(grants, eq(grants.id, runs.grantId))
      .where(eq(runs.id, runId))
      .get();
    if (!found) return refuse('not_found');
    const { run, labId } = found;
    const me = who.member.person.id;
    const ofRun = eq(tokens.runId, run.id);
    if (who.reach === 'self' && run.personId !== me) {
      const own = and(ofRun, eq(tokens.personId, me));
      const takesPart = db.select({ id: tokens.id }).from(tokens).where(own).limit(1).get();
      if (!takesPart) return refuse('not_found');
      const ended = endSelectedTokens(context, own, by.at);
      recordTokensEnded(context, by, who, { run: run.id, person: me }, ended);
      return { endedAt: run.endedAt, ...summary(ended) };
    }
    if (who.reach === 'lab' && labId !== who.member.lab.id) return refuse('not_found');
    if (run.endedAt !== null) return { endedAt: run.endedAt, ended: 0, tokenIds: [] };
    db.update(runs).set({ endedAt: by.at }).where(eq(runs.id, run.id)).run();
    const ended = endSelectedTokens(context, ofRun, by.at);
    context.append({
      id: by.entryId,
      kind: 'run.ended',
      at: by.at,
      actor: who.actor,
      ref: run.id,
      lab: labId,
      person: run.personId,
      grant: run.grantId,
      purpose: run.purpose,
      run: run.id,
      data: { runName: run.name, tokensEnded: ended.live },
    });
    return { endedAt: by.at, ...summary(ended) };
  },
  (args) => args.runId,
);
