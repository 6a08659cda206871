/** Access tokens: known to the store by id, never by value. */
import { and, eq, lt } from 'drizzle-orm';
import type { EntryActor } from '../../core/audit/entry.ts';
import { refuse, type DenialCode } from '../../core/denials.ts';
import type { Purpose } from '../../core/vocabulary.ts';
import type { WriterContext } from '../context.ts';
import { readPerson } from '../records.ts';
import { runs, tokens, usedAssertions } from '../schema.ts';
import { controlOperation, mustReach, type By, type Operation } from './operation.ts';

interface NewToken {
  id: string;
  personId: string;
  labId: string;
  /** The key that the client proved to hold. */
  kid: string;
  issuedAt: number;
  expiresAt: number;
}

/** The client assertion that a token was asked with, and the key that it was checked with. */
export interface UsedAssertion {
  kid: string;
  issuer: string;
  jti: string;
  expiresAt: number;
}

interface IssueArgs {
  /** The epoch of the facts that the decision rests on. */
  epoch: number;
  entryId: string;
  actor: EntryActor;
  token: NewToken;
  assertion: UsedAssertion;
  /** Absent for a token of the control API. */
  access?: {
    grantId: string;
    grantVersion: number;
    purpose: Purpose;
    run: { id: string; name: string };
  };
}

/**
 * Stores a token and its entry, and uses up the assertion. `stale` means that policy changed since the
 * decision was made: nothing was written, decide again.
 */
export const issueToken: Operation<
  IssueArgs,
  { stale: true } | { stale: false; runId: string | null }
> = {
  run(context, { epoch, entryId, actor, token, assertion, access }) {
    if (epoch !== context.epoch) return { stale: true };
    useUp(context, assertion);
    let runId: string | null = null;
    if (access) {
      const { grantId, purpose, run } = access;
      context.db
        .insert(runs)
        .values({
          id: run.id,
          grantId,
          purpose,
          name: run.name,
          personId: token.personId,
          createdAt: token.issuedAt,
        })
        .onConflictDoNothing()
        .run();
      const found = context.db
        .select({ id: runs.id })
        .from(runs)
        .where(and(eq(runs.grantId, grantId), eq(runs.purpose, purpose), eq(runs.name, run.name)))
        .get();
      runId = found?.id ?? refuse('unexpected');
    }
    const audience = access ? 'gateway' : 'control';
    const row = {
      ...token,
      audience,
      grantId: access?.grantId ?? null,
      grantVersion: access?.grantVersion ?? null,
      purpose: access?.purpose ?? null,
      runId,
      revokedAt: null,
    } as const;
    context.db.insert(tokens).values(row).run();
    context.changed({ kind: 'token', value: row });
    context.append({
      id: entryId,
      kind: 'token.issued',
      at: token.issuedAt,
      actor,
      ref: token.id,
      lab: token.labId,
      person: token.personId,
      token: token.id,
      grant: access?.grantId,
      grantVersion: access?.grantVersion,
      purpose: access?.purpose,
      run: runId ?? undefined,
      data: {
        audience,
        expiresAt: new Date(token.expiresAt).toISOString(),
        kid: token.kid,
        runName: access?.run.name,
      },
    });
    return { stale: false, runId };
  },
};

/** Records that a known person was refused a token. */
export const denyToken: Operation<
  {
    entryId: string;
    at: number;
    actor: EntryActor;
    assertion: UsedAssertion;
    personId: string;
    labId: string;
    grantId?: string;
    reason: DenialCode;
    message: string;
  },
  void
> = {
  run(context, args) {
    useUp(context, args.assertion);
    context.appendDenial({
      id: args.entryId,
      kind: 'token.denied',
      at: args.at,
      actor: args.actor,
      lab: args.labId,
      person: args.personId,
      grant: args.grantId,
      decision: 'denied',
      reason: args.reason,
      data: { message: args.message },
    });
  },
};

/** Uses up a client assertion that authenticated something other than a request for a token. */
export const consumeAssertion: Operation<{ assertion: UsedAssertion }, void> = {
  run(context, { assertion }) {
    useUp(context, assertion);
  },
};

/**
 * Uses up an assertion, once; and only if its key is still the person's: the key may have been removed, or
 * the person, after the assertion was checked.
 */
function useUp(context: WriterContext, { kid, ...assertion }: UsedAssertion): void {
  const person = readPerson(context.db, assertion.issuer);
  if (!person || person.removedAt !== null || !person.keys.some((key) => key.kid === kid)) {
    refuse('invalid_client');
  }
  const [fresh] = context.db
    .insert(usedAssertions)
    .values(assertion)
    .onConflictDoNothing()
    .returning()
    .all();
  if (!fresh) refuse('assertion_replayed');
}

/** Ends a token. Ending one that has ended already succeeds and changes nothing. */
export const revokeToken = controlOperation(
  'token.revoke',
  (context, args: { by: By; tokenId: string }, who): { revokedAt: number } => {
    const token =
      context.db.select().from(tokens).where(eq(tokens.id, args.tokenId)).get() ??
      refuse('not_found');
    mustReach(who, { labId: token.labId, personId: token.personId });
    if (token.revokedAt !== null) return { revokedAt: token.revokedAt };
    context.db.update(tokens).set({ revokedAt: args.by.at }).where(eq(tokens.id, token.id)).run();
    context.changed({ kind: 'token', value: { ...token, revokedAt: args.by.at } });
    context.append({
      id: args.by.entryId,
      kind: 'token.revoked',
      at: args.by.at,
      actor: who.actor,
      ref: token.id,
      lab: token.labId,
      person: token.personId,
      token: token.id,
      grant: token.grantId ?? undefined,
    });
    return { revokedAt: args.by.at };
  },
  (args) => args.tokenId,
);

/** Forgets assertions that have expired: they would be refused for that. */
export const forgetExpiredAssertions: Operation<{ now: number }, void> = {
  run(context, { now }) {
    context.db.delete(usedAssertions).where(lt(usedAssertions.expiresAt, now)).run();
  },
};
