/** What the broker has to do by itself at a moment. It survives a crash, and is done once. */
import { and, eq } from 'drizzle-orm';
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

/** Takes everything of a kind about one thing off. */
export function takeOffAgenda({ db }: WriterContext, kind: AgendaKind, ref: string): void {
  db.delete(agenda)
    .where(and(eq(agenda.kind, kind), eq(agenda.ref, ref)))
    .run();
}
