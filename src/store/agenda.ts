/** What the broker has to do by itself at a moment. It survives a crash, and is done once. */
import { and, asc, count, eq, gt, lte } from 'drizzle-orm';
import type { Db } from './database.ts';
import type { WriterContext } from './context.ts';
import { agenda, type AgendaKind } from './schema.ts';

export interface AgendaItem {
  kind: AgendaKind;
  /** Id of what it is about. */
  ref: string;
  /** When it is to be done; epoch milliseconds. */
  at: number;
}

/** Notes something to be done. Whoever does it looks at how things stand then: what has become idle does nothing. */
export function putOnAgenda({ db }: WriterContext, item: AgendaItem): void {
  db.insert(agenda).values(item).onConflictDoNothing().run();
}

/** Takes off what of a kind about one thing has fallen due: whoever looks at it has seen to all of that. */
export function takeOffDue(
  { db }: WriterContext,
  kind: AgendaKind,
  ref: string,
  now: number,
): void {
  db.delete(agenda)
    .where(and(eq(agenda.kind, kind), eq(agenda.ref, ref), lte(agenda.at, now)))
    .run();
}

/** What fell due by a moment and is not put off, oldest first. */
export const itemsDue = (db: Db, now: number, limit: number): AgendaItem[] =>
  db
    .select({ kind: agenda.kind, ref: agenda.ref, at: agenda.at })
    .from(agenda)
    .where(and(lte(agenda.at, now), lte(agenda.notBefore, now)))
    .orderBy(asc(agenda.at))
    .limit(limit)
    .all();

/** How much failed at its last attempt, and is to be tried again. */
export const countPutOff = (db: Db): number =>
  db.select({ n: count() }).from(agenda).where(gt(agenda.attempts, 0)).get()?.n ?? 0;

/** Takes everything of a kind about one thing off. */
export function takeOffAgenda({ db }: WriterContext, kind: AgendaKind, ref: string): void {
  db.delete(agenda)
    .where(and(eq(agenda.kind, kind), eq(agenda.ref, ref)))
    .run();
}

/** Whether something is still to be done at a moment, or was due and has not been done. */
export function isOnAgenda(
  { db }: WriterContext,
  kind: AgendaKind,
  ref: string,
  at: number,
): boolean {
  const item = and(eq(agenda.kind, kind), eq(agenda.ref, ref), eq(agenda.at, at));
  return db.select().from(agenda).where(item).get() !== undefined;
}
