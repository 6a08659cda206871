/** What was charged in the last day, for showing: by the same window that the ledger decides on. */
import { and, eq, gt } from 'drizzle-orm';
import { dayWindow, type TrailingWindow } from '../core/window.ts';
import type { Db } from './database.ts';
import { usageMinutes } from './schema.ts';

export interface DayUse {
  requests: number;
  tokens: number;
}

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;

/** By person; the person '' is the grant as a whole. */
export function readDayUse(db: Db, grantId: string, now: number): Map<string, DayUse> {
  const rows = db
    .select()
    .from(usageMinutes)
    .where(
      and(
        eq(usageMinutes.grantId, grantId),
        gt(usageMinutes.minute, (now - DAY_MS) / MINUTE_MS - 1),
      ),
    )
    .orderBy(usageMinutes.minute)
    .all();
  const windows = new Map<string, TrailingWindow>([['', dayWindow()]]);
  for (const row of rows) {
    if (!windows.has(row.personId)) windows.set(row.personId, dayWindow());
    for (const key of ['', row.personId])
      windows.get(key)?.add(row.minute * MINUTE_MS, row.requests, row.tokens);
  }
  return new Map(
    [...windows].map(([personId, window]) => {
      const { requests: count, tokens } = window.use(now);
      return [personId, { requests: count, tokens }];
    }),
  );
}
