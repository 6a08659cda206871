/** Who holds an authority, as people are now: whom to tell in person. */
import { and, eq, inArray, isNull, or } from 'drizzle-orm';
import { holds, type Authority } from '../core/authority-rules.ts';
import type { WriterContext } from './context.ts';
import { readPeople } from './records.ts';
import { labs, people } from './schema.ts';

/**
 * The people who hold one of some authorities: of the host and of auditor labs; of partners, those of one alone, since a
 * partner decides on its own.
 *
 * @param partnerId the partner lab that it is about, if it is about one
 */
export function peopleHolding(
  { db }: WriterContext,
  authorities: readonly Authority[],
  partnerId: string | undefined,
): { labId: string; personId: string }[] {
  const ours = inArray(labs.kind, ['host', 'auditor']);
  const where = partnerId === undefined ? ours : or(ours, eq(labs.id, partnerId));
  const some = db.select().from(labs).where(where).all();
  return some.flatMap((lab) => {
    const isHere = and(eq(people.labId, lab.id), isNull(people.removedAt));
    return readPeople(db, db.select().from(people).where(isHere).all())
      .filter((person) => holds({ person, lab }, authorities))
      .map(({ id }) => ({ labId: lab.id, personId: id }));
  });
}
