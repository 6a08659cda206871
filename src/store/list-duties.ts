/** Lists duties. */
import { and, desc, eq, lt } from 'drizzle-orm';
import type { Duty, DutyState } from '../core/duties.ts';
import type { Db } from './database.ts';
import { maybe, type PageRequest } from './page.ts';
import { duties } from './schema.ts';

export interface DutyFilter {
  labId?: string | undefined;
  grantId?: string | undefined;
  state?: DutyState | undefined;
}

/** Newest first. */
export function listDuties(
  db: Db,
  { after, limit }: PageRequest,
  { labId, grantId, state }: DutyFilter,
): Duty[] {
  return db
    .select()
    .from(duties)
    .where(
      and(
        maybe(after, (id) => lt(duties.id, id)),
        maybe(labId, (id) => eq(duties.labId, id)),
        maybe(grantId, (id) => eq(duties.grantId, id)),
        maybe(state, (one) => eq(duties.state, one)),
      ),
    )
    .orderBy(desc(duties.id))
    .limit(limit)
    .all();
}

export function readDuty(db: Db, id: string): Duty | undefined {
  return db.select().from(duties).where(eq(duties.id, id)).get();
}
