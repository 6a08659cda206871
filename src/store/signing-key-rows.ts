/** Reads the keys that sign tokens. Used by the writer and by readers alike. */
import { and, count, desc, eq, gt, isNotNull, isNull } from 'drizzle-orm';
import type { SigningKeyRecord } from '../core/signing-keys.ts';
import type { Db } from './database.ts';
import { signingKeys, tokens } from './schema.ts';

/** Newest first. */
export function readSigningKeys(db: Db): SigningKeyRecord[] {
  return db
    .select()
    .from(signingKeys)
    .orderBy(desc(signingKeys.createdAt), desc(signingKeys.kid))
    .all();
}

/** The key that signs. */
export function readActiveKid(db: Db): string | undefined {
  return db
    .select({ kid: signingKeys.kid })
    .from(signingKeys)
    .where(eq(signingKeys.state, 'active'))
    .get()?.kid;
}

/** Whether a key signed a token that expires after a moment. */
export function hasUnexpiredTokens(db: Db, kid: string, now: number): boolean {
  const found = db
    .select({ id: tokens.id })
    .from(tokens)
    .where(and(eq(tokens.signingKid, kid), gt(tokens.expiresAt, now)))
    .limit(1)
    .get();
  return found !== undefined;
}

/** How many tokens that have neither expired nor been revoked each key signed; keys without any are absent. */
export function countLiveTokens(db: Db, now: number): Map<string, number> {
  const rows = db
    .select({ kid: tokens.signingKid, live: count() })
    .from(tokens)
    .where(and(gt(tokens.expiresAt, now), isNull(tokens.revokedAt), isNotNull(tokens.signingKid)))
    .groupBy(tokens.signingKid)
    .all();
  return new Map(rows.map(({ kid, live }) => [kid as string, live]));
}
