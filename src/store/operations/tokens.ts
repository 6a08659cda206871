/** Access tokens: known to the store by id, never by value. */
import { and, eq, isNull, lt, max, sql } from 'drizzle-orm';
import type { EntryActor } from '../../core/audit/entry.ts';
import { refuse, type DenialCode } from '../../core/denials.ts';
import type { Narrowing } from '../../core/narrowing.ts';
import type { Purpose } from '../../core/vocabulary.ts';
import type { WriterContext } from '../context.ts';
import { prepared } from '../prepared.ts';
import { readLab, readMeta } from '../records.ts';
import { meta, people, personKeys, runs, tokens, usedAssertions, usedProofs } from '../schema.ts';
import { controlOperation, mustReach, type By, type Operation } from './operation.ts';

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

/** A signed statement that may serve once, and what it was checked with. */
export type UsedAssertion = {
  kid: string;
  /** The person's id, or the issuer of the lab. */
  issuer: string;
  jti: string;
  /** Until when it would be accepted, epoch milliseconds. */
  expiresAt: number;
} & ({ by: 'person' } | { by: 'lab'; labId: string; identitySetAt: number });

/** A proof of possession that may serve once. */
export interface UsedProof {
  jkt: string;
  jti: string;
  expiresAt: number;
}

/** What a request used up: its assertions, and its proof where it was bound. */
export interface UsedUp {
  assertions: UsedAssertion[];
  proof: UsedProof | undefined;
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

/** Uses up what authenticated something other than a request for a token. */
export const consume: Operation<{ used: UsedUp }, void> = {
  run: (context, { used }) => useUpAll(context, used),
};

function useUpAll(context: WriterContext, { assertions, proof }: UsedUp): void {
  for (const assertion of assertions) useUp(context, assertion);
  if (proof) useUpProof(context, proof);
}

const keyInUse = prepared((db) =>
  db
    .select({ kid: personKeys.kid })
    .from(personKeys)
    .innerJoin(people, eq(people.id, personKeys.personId))
    .where(
      and(
        eq(personKeys.personId, sql.placeholder('personId')),
        eq(personKeys.kid, sql.placeholder('kid')),
        isNull(personKeys.removedAt),
        isNull(people.removedAt),
      ),
    )
    .prepare(),
);

const insertAssertion = prepared((db) =>
  db
    .insert(usedAssertions)
    .values({
      issuer: sql.placeholder('issuer'),
      jti: sql.placeholder('jti'),
      expiresAt: sql.placeholder('expiresAt'),
    })
    .onConflictDoNothing()
    .prepare(),
);

const insertProof = prepared((db) =>
  db
    .insert(usedProofs)
    .values({
      jkt: sql.placeholder('jkt'),
      jti: sql.placeholder('jti'),
      expiresAt: sql.placeholder('expiresAt'),
    })
    .onConflictDoNothing()
    .prepare(),
);

/**
 * Uses up an assertion, once; and only if what it was checked with still holds: since then the key may
 * have been removed, or the person, or the identity of the lab.
 */
function useUp(context: WriterContext, assertion: UsedAssertion): void {
  const { by, issuer, jti, kid, expiresAt } = assertion;
  const invalid = by === 'lab' ? 'invalid_assertion' : 'invalid_client';
  if (by === 'lab') {
    const lab = readLab(context.db, assertion.labId);
    if (lab?.identity?.setAt !== assertion.identitySetAt) refuse(invalid);
  } else {
    if (!keyInUse(context.db).get({ personId: issuer, kid })) refuse(invalid);
  }
  refuseForgotten(context, 'assertions', expiresAt, by === 'lab' ? invalid : 'assertion_replayed');
  if (insertAssertion(context.db).run({ issuer, jti, expiresAt }).changes === 1) return;
  if (by === 'lab')
    refuse(invalid, 'This assertion was used before. Make a new one, with a new jti.');
  refuse('assertion_replayed');
}

function useUpProof(context: WriterContext, { jkt, jti, expiresAt }: UsedProof): void {
  refuseForgotten(context, 'proofs', expiresAt, 'invalid_dpop_proof');
  if (insertProof(context.db).run({ jkt, jti, expiresAt }).changes === 0)
    refuse('invalid_dpop_proof', 'This proof was used before. Make a new one, with a new jti.');
}

/** Marks before which something may have been used and forgotten, one for each kind. */
const FORGOTTEN = {
  assertions: 'used_assertions_forgotten_until',
  proofs: 'used_proofs_forgotten_until',
} as const;

/**
 * Refuses what is so old that it may have been used and forgotten: the clock was set back. The mark is no
 * later than what was really forgotten, so that a clock that ran ahead once does not lock everybody out.
 */
function refuseForgotten(
  context: WriterContext,
  kind: keyof typeof FORGOTTEN,
  expiresAt: number,
  code: DenialCode,
): void {
  if (expiresAt > Number(readMeta(context.db, FORGOTTEN[kind]) ?? 0)) return;
  refuse(
    code,
    'Whether this was used before is not known any more, since the clock of the broker was set back. Make a new one in an hour at the latest, or tell the host lab.',
  );
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

/** Forgets assertions and proofs that would be refused for their age, to the millisecond and no sooner. */
export const forgetUsed: Operation<{ now: number }, void> = {
  run(context, { now }) {
    forget(context, 'assertions', usedAssertions, now);
    forget(context, 'proofs', usedProofs, now);
  },
};

function forget(
  { db }: WriterContext,
  kind: keyof typeof FORGOTTEN,
  table: typeof usedAssertions | typeof usedProofs,
  now: number,
): void {
  const old = lt(table.expiresAt, now);
  const last = db
    .select({ at: max(table.expiresAt) })
    .from(table)
    .where(old)
    .get()?.at;
  if (last === null || last === undefined) return;
  db.delete(table).where(old).run();
  const before = Number(readMeta(db, FORGOTTEN[kind]) ?? 0);
  const row = { key: FORGOTTEN[kind], value: String(Math.max(last, before)) };
  db.insert(meta).values(row).onConflictDoUpdate({ target: meta.key, set: row }).run();
}
