/** Access tokens: known to the store by id, never by value. */
import { and, eq, sql } from 'drizzle-orm';
import type { EntryActor } from '../../core/audit/entry.ts';
import { refuse, type DenialCode } from '../../core/denials.ts';
import type { Narrowing } from '../../core/narrowing.ts';
import type { Purpose } from '../../core/vocabulary.ts';
import type { WriterContext } from '../context.ts';
import { prepared } from '../prepared.ts';
import { runs, tokens } from '../schema.ts';
import { controlOperation, mustReach, type By, type Operation } from './operation.ts';
import { useUpAll, type UsedUp } from './used-once.ts';

interface NewToken {
  id: string;
  personId: string;
  labId: string;
  /** The key that the caller proved to hold, or the key of the lab that vouched for them. */
  kid: string;
  vouchedBy: 'person' | 'lab';
  /** Thumbprint of the key that the token is bound to. */
  jkt: string | null;
  /** Our key that signs it. */
  signingKid: string;
  issuedAt: number;
  expiresAt: number;
}

interface IssueArgs {
  /** The epoch of the facts that the decision rests on. */
  epoch: number;
  entryId: string;
  actor: EntryActor;
  token: NewToken;
  used: UsedUp;
  /** Absent for a token of the control API. */
  access?: {
    grantId: string;
    grantVersion: number;
    purpose: Purpose;
    run: { id: string; name: string };
    narrowing: Narrowing | null;
  };
}

/** Nothing was written but what is said: `stale` means that policy changed since the decision was made. */
export type IssueResult =
  { kind: 'stale' } | { kind: 'run_ended' } | { kind: 'issued'; runId: string | null };

/** Stores a token and its entry, and uses up what it was asked with. */
export const issueToken: Operation<IssueArgs, IssueResult> = {
  run(context, { epoch, entryId, actor, token, used, access }) {
    if (epoch !== context.epoch) return { kind: 'stale' };
    const run = access ? findRun(context, access) : undefined;
    if (run && run.endedAt !== null) return { kind: 'run_ended' };
    useUpAll(context, used);
    if (access && !run) insertRun(context, access, token);
    const runId = access ? (run?.id ?? access.run.id) : null;
    const audience = access ? 'gateway' : 'control';
    const row = {
      ...token,
      audience,
      grantId: access?.grantId ?? null,
      grantVersion: access?.grantVersion ?? null,
      purpose: access?.purpose ?? null,
      runId,
      narrowing: access?.narrowing ?? null,
      revokedAt: null,
    } as const;
    insertToken(context.db).run({
      ...row,
      narrowing: row.narrowing && JSON.stringify(row.narrowing),
    });
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
        vouchedBy: token.vouchedBy,
        // The lab's own log has it, too.
        assertion: used.assertions.find(({ by }) => by === 'lab')?.jti,
        boundTo: token.jkt ?? undefined,
        signedWith: token.signingKid,
        runName: access?.run.name,
        narrowing: access?.narrowing ?? undefined,
      },
    });
    return { kind: 'issued', runId };
  },
};

type Access = NonNullable<IssueArgs['access']>;

const insertToken = prepared((db) =>
  db
    .insert(tokens)
    .values({
      id: sql.placeholder('id'),
      audience: sql.placeholder('audience'),
      personId: sql.placeholder('personId'),
      labId: sql.placeholder('labId'),
      kid: sql.placeholder('kid'),
      grantId: sql.placeholder('grantId'),
      grantVersion: sql.placeholder('grantVersion'),
      purpose: sql.placeholder('purpose'),
      runId: sql.placeholder('runId'),
      issuedAt: sql.placeholder('issuedAt'),
      expiresAt: sql.placeholder('expiresAt'),
      revokedAt: sql.placeholder('revokedAt'),
      vouchedBy: sql.placeholder('vouchedBy'),
      jkt: sql.placeholder('jkt'),
      // By itself, it would make the text "null" of what is null.
      narrowing: sql`${sql.placeholder('narrowing')}`,
      signingKid: sql.placeholder('signingKid'),
    })
    .prepare(),
);

const runByName = prepared((db) =>
  db
    .select()
    .from(runs)
    .where(
      and(
        eq(runs.grantId, sql.placeholder('grantId')),
        eq(runs.purpose, sql.placeholder('purpose')),
        eq(runs.name, sql.placeholder('name')),
      ),
    )
    .prepare(),
);

function findRun(
  context: WriterContext,
  { grantId, purpose, run }: Access,
): typeof runs.$inferSelect | undefined {
  return runByName(context.db).get({ grantId, purpose, name: run.name });
}

function insertRun(
  context: WriterContext,
  { grantId, purpose, run }: Access,
  token: NewToken,
): void {
  context.db
    .insert(runs)
    .values({
      id: run.id,
      grantId,
      purpose,
      name: run.name,
      personId: token.personId,
      createdAt: token.issuedAt,
      endedAt: null,
    })
    .run();
}

/** Records that a known person, was refused a token. */
export const denyToken: Operation<
  {
    entryId: string;
    at: number;
    actor: EntryActor;
    used: UsedUp;
    personId: string;
    labId: string;
    grantId?: string | undefined;
    reason: DenialCode;
    message: string;
    orders?: string[] | undefined;
  },
  void
> = {
  run(context, args) {
    useUpAll(context, args.used);
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
      orders: args.orders,
      data: { message: args.message },
    });
  },
};

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
    context.changed({ kind: 'tokens_ended', ids: [token.id], at: args.by.at });
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
