/** Who goes by which name: nobody in the log is to be taken for somebody else of their lab. */
import { and, eq, isNull, or } from 'drizzle-orm';
import { refuse } from '../../core/denials.ts';
import { nameKey, type Lab, type Person } from '../../core/people.ts';
import type { WriterContext } from '../context.ts';
import { readPerson } from '../records.ts';
import { invitations, people } from '../schema.ts';
import { openInvitations } from './open-invitations.ts';

/** What somebody is, or is to be, known by. */
interface Called {
  name: string;
  /** What their lab calls them; null: their id. */
  subject: string | null;
}

/**
 * Refuses a name or subject that somebody of the lab has, or is invited by.
 *
 * @throws RefusedError `already_exists`
 */
export function mustBeFree(
  context: WriterContext,
  lab: Lab,
  { name, subject }: Called,
  at: number,
): void {
  const namesake = findByName(context, lab, name);
  if (namesake) refuse('already_exists', ofNamesake(lab, namesake), { param: 'name' });
  const invited = openInvitations(context, eq(invitations.labId, lab.id), at).find(
    (invitation) => nameKey(invitation.name) === nameKey(name),
  );
  if (invited) {
    refuse(
      'already_exists',
      `"${invited.name}" has an open invitation to this lab already: ${invited.id}. Withdraw that first ("sallyport person uninvite ${invited.id}"), or add something that tells the two apart.`,
      { param: 'name' },
    );
  }
  const other = findBySubject(context, lab, subject);
  if (other !== undefined) {
    refuse('already_exists', `The lab calls somebody else by this already: ${other}.`, {
      param: 'subject',
    });
  }
}

/**
 * Refuses what was taken since somebody was invited. Whoever holds a link learns nothing of the other person.
 *
 * @throws RefusedError `already_exists`
 */
export function mustStillBeFree(context: WriterContext, lab: Lab, { name, subject }: Called): void {
  const askAnew = 'Ask whoever invited you to withdraw this invitation and to send another';
  if (findByName(context, lab, name)) {
    refuse(
      'already_exists',
      `Since you were invited, somebody else of the lab goes by your name. ${askAnew}, with a name that tells the two of you apart.`,
      { param: 'name' },
    );
  }
  if (findBySubject(context, lab, subject) !== undefined) {
    refuse(
      'already_exists',
      `Since you were invited, the lab calls somebody else what it was to call you. ${askAnew}, with a "subject" of your own.`,
      { param: 'subject' },
    );
  }
}

function ofNamesake(lab: Lab, { id, name, keys }: Person): string {
  const known = `The lab has a person named "${name}" already: ${id}`;
  // Whom the lab signs for needs no key.
  if (keys.length > 0 || lab.identity)
    return `${known}. If this is somebody else, add something that tells the two apart. If it is the same person, ask for a grant that names ${id}: no invitation gives them a place, nor one back that they gave up.`;
  return `${known}, who has no key left. If this is the same person, remove them first ("sallyport person remove ${id}") and invite them anew. They will be a new person with a new id: a grant that names ${id} does not name them, so give them a place with "--grant", where the grant says "maxPeople", or ask for a new grant.`;
}

function findByName(context: WriterContext, lab: Lab, name: string): Person | undefined {
  const key = nameKey(name);
  const present = context.db
    .select({ id: people.id, name: people.name })
    .from(people)
    .where(and(eq(people.labId, lab.id), isNull(people.removedAt)))
    .all();
  const found = present.find((person) => nameKey(person.name) === key);
  return found && readPerson(context.db, found.id);
}

/** @returns the person's id */
function findBySubject(
  context: WriterContext,
  lab: Lab,
  subject: string | null,
): string | undefined {
  if (subject === null) return undefined;
  return context.db
    .select({ id: people.id })
    .from(people)
    .where(
      and(
        eq(people.labId, lab.id),
        isNull(people.removedAt),
        // Whoever has no subject is named by their id.
        or(eq(people.subject, subject), eq(people.id, subject)),
      ),
    )
    .get()?.id;
}
