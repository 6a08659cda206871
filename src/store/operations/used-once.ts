/** What serves once: assertions and proofs of possession, used up and remembered for as long as they would be taken. */
import { and, eq, isNull, lt, max, sql } from 'drizzle-orm';
import { refuse, type DenialCode } from '../../core/denials.ts';
import type { WriterContext } from '../context.ts';
import { prepared } from '../prepared.ts';
import { readLab, readMeta } from '../records.ts';
import { meta, people, personKeys, usedAssertions, usedProofs } from '../schema.ts';
import type { Operation } from './operation.ts';

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

/** Uses up what authenticated something other than a request for a token. */
export const consume: Operation<{ used: UsedUp }, void> = {
  run: (context, { used }) => useUpAll(context, used),
};

/** Uses up all that a request was asked with, or nothing: part of the transaction that acts on it. */
export function useUpAll(context: WriterContext, { assertions, proof }: UsedUp): void {
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
  } else if (!keyInUse(context.db).get({ personId: issuer, kid })) refuse(invalid);
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
