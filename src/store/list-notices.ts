/** Lists of notices, with who has taken note of each. */
import { and, asc, desc, eq, inArray, isNull, lt, notExists, or } from 'drizzle-orm';
import type { Notice, NoticeKind } from '../core/notices.ts';
import type { Db } from './database.ts';
import { maybe, type PageRequest } from './page.ts';
import { noticeAcknowledgements as acknowledgements, notices } from './schema.ts';

export interface AcknowledgedNotice extends Notice {
  /** In the order in which they did. */
  acknowledgedBy: { personId: string; at: number }[];
}

export interface NoticeFilter {
  kind?: NoticeKind | undefined;
  ref?: string | undefined;
  /** Only what this person has not acknowledged. */
  unreadBy?: string | undefined;
  /** Only what is addressed to these labs, or people of theirs. */
  labIds?: readonly string[] | undefined;
  /** Of what is addressed to single people, only what is to this one. */
  ownOf?: string | undefined;
  /** Nothing that is addressed to a lab as a whole. */
  personalOnly?: boolean | undefined;
}

/** Newest first. */
export function listNotices(
  db: Db,
  { after, limit }: PageRequest,
  filter: NoticeFilter,
): AcknowledgedNotice[] {
  const rows = db
    .select()
    .from(notices)
    .where(
      and(
        maybe(after, (id) => lt(notices.id, id)),
        maybe(filter.kind, (kind) => eq(notices.kind, kind)),
        maybe(filter.ref, (ref) => eq(notices.ref, ref)),
        maybe(filter.labIds, (labIds) => inArray(notices.labId, [...labIds])),
        maybe(filter.ownOf, (personId) =>
          filter.personalOnly
            ? eq(notices.personId, personId)
            : or(isNull(notices.personId), eq(notices.personId, personId)),
        ),
        maybe(filter.unreadBy, (personId) =>
          notExists(
            db
              .select()
              .from(acknowledgements)
              .where(
                and(
                  eq(acknowledgements.noticeId, notices.id),
                  eq(acknowledgements.personId, personId),
                ),
              ),
          ),
        ),
      ),
    )
    .orderBy(desc(notices.id))
    .limit(limit)
    .all();
  return withAcknowledgements(db, rows);
}

export function readNotice(db: Db, id: string): AcknowledgedNotice | undefined {
  const row = db.select().from(notices).where(eq(notices.id, id)).get();
  return row && withAcknowledgements(db, [row])[0];
}

function withAcknowledgements(db: Db, rows: Notice[]): AcknowledgedNotice[] {
  const made = db
    .select()
    .from(acknowledgements)
    .where(
      inArray(
        acknowledgements.noticeId,
        rows.map(({ id }) => id),
      ),
    )
    .orderBy(asc(acknowledgements.at))
    .all();
  const byNotice = new Map<string, AcknowledgedNotice>();
  for (const row of rows) byNotice.set(row.id, { ...row, acknowledgedBy: [] });
  for (const { noticeId, personId, at } of made)
    byNotice.get(noticeId)?.acknowledgedBy.push({ personId, at });
  return [...byNotice.values()];
}
