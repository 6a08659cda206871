/** Reads invitations for the API. */
import { and, desc, eq, gt, isNull, lt } from 'drizzle-orm';
import type { Invitation } from '../core/invitations.ts';
import type { Db } from './database.ts';
import { maybe, type PageRequest } from './page.ts';
import { invitations } from './schema.ts';

export interface InvitationFilter {
  labId?: string | undefined;
  /** Only those that are open at this moment, epoch milliseconds. */
  openAt?: number | undefined;
}

/** Those onto a grant that were neither used nor withdrawn, nor have expired at a moment: no more than its places. */
export function openInvitationsOnto(db: Db, grantId: string, now: number): Invitation[] {
  return db
    .select()
    .from(invitations)
    .where(
      and(
        eq(invitations.grantId, grantId),
        isNull(invitations.endedAt),
        gt(invitations.expiresAt, now),
      ),
    )
    .all();
}

/** Newest first. */
export function listInvitations(
  db: Db,
  { after, limit }: PageRequest,
  { labId, openAt }: InvitationFilter,
): Invitation[] {
  return db
    .select()
    .from(invitations)
    .where(
      and(
        maybe(after, (id) => lt(invitations.id, id)),
        maybe(labId, (id) => eq(invitations.labId, id)),
        maybe(openAt, (now) => and(isNull(invitations.endedAt), gt(invitations.expiresAt, now))),
      ),
    )
    .orderBy(desc(invitations.id))
    .limit(limit)
    .all();
}
