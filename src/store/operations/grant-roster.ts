/** The roster in the hands of the lead: who is put on it, within its cap, and who is taken off. */
import { and, eq } from 'drizzle-orm';
import { refusalOfEndedGrant } from '../../core/access.ts';
import { RefusedError, refuse, type Refusal } from '../../core/denials.ts';
import { placeOf, type Grant } from '../../core/grants.ts';
import { refusalOfPlace } from '../../core/invitations.ts';
import type { WriterContext } from '../context.ts';
import { beginDuties } from '../duties.ts';
import { readPresent } from '../records.ts';
import { grantJoiners, grantTakenOff, grants, tokens } from '../schema.ts';
import { endSelectedTokens } from './end-tokens.ts';
import { mustFind, passOrRefuse, recorded, type GrantTarget } from './grant-texts.ts';
import { controlOperation } from './operation.ts';
import { promisedPlaces } from './roster.ts';

interface RosterArgs extends GrantTarget {
  personId: string;
}

/**
 * Puts a person of the lab on the roster of a grant: back where they were taken off, or in a place that "maxPeople"
 * leaves. Nobody comes back who handed their place back.
 */
export const addPersonToGrant = controlOperation(
  'grant.add_person',
  (context, args: RosterArgs & { until: number | null }, who): Grant => {
    const { personId, until, by } = args;
    const grant = mustBeRunning(mustFind(context, args, who), by.at);
    if (!readPresent(context.db, grant.spec.lab, [personId]).has(personId))
      refuse('not_found', 'There is no such person in this lab, or they were removed.');
    if (grant.leavers.includes(personId))
      refuse('access_handed_back', 'This person handed their place back, for good.');
    const isTakenOff = grant.takenOff.includes(personId);
    const held = placeOf({ ...grant, takenOff: [] }, personId);
    const lasts = held !== undefined && held.until > by.at;
    if (lasts && !isTakenOff) refuse('already_exists', 'This person is on the roster already.');
    if (held && !lasts && grant.spec.people.some(({ person }) => person === personId))
      refuse('invalid_request', 'The text of the grant ended the place of this person. Amend it.');
    if (until !== null && until <= by.at)
      refuse('invalid_request', 'The end of the place is past.', { param: 'until' });
    const back = isTakenOff && lasts;
    if (back && until !== null)
      refuse(
        'invalid_request',
        'A person who is put back has the place that they had. Leave out "until".',
        { param: 'until' },
      );
    passOrRefuse(refusalOfPlaceFor(context, grant, personId, by.at));
    if (isTakenOff) context.db.delete(grantTakenOff).where(takenOff(grant.id, personId)).run();
    if (!back) {
      const joiner = { until, addedBy: who.member.person.id, addedAt: by.at };
      context.db
        .insert(grantJoiners)
        .values({ grantId: grant.id, personId, ...joiner })
        // One whose place has ended gets a new one.
        .onConflictDoUpdate({ target: [grantJoiners.grantId, grantJoiners.personId], set: joiner })
        .run();
    }
    touch(context, grant.id, by.at);
    return recorded(context, grant.id, 'grant.person_added', by, who, {
      person: personId,
      // One who is put back has the place that they had.
      ...(!back && { until: until === null ? null : new Date(until).toISOString() }),
    });
  },
  (args) => args.grantId,
);

/** Whom the text names has a place without a cap, where it sets none. */
function refusalOfPlaceFor(
  context: WriterContext,
  grant: Grant,
  personId: string,
  at: number,
): Refusal | null {
  const { people, maxPeople } = grant.spec;
  const isNamed = people.some(({ person }) => person === personId);
  if (isNamed && maxPeople === undefined) return null;
  return refusalOfPlace(grant, promisedPlaces(context, grant, at));
}

const takenOff = (grantId: string, personId: string) =>
  and(eq(grantTakenOff.grantId, grantId), eq(grantTakenOff.personId, personId));

/** Takes a person off the roster: their tokens under the grant end, their streams are cut. The lead can put them back. */
export const takePersonOffGrant = controlOperation(
  'grant.take_off_person',
  (context, args: RosterArgs, who): Grant => {
    const { personId, by } = args;
    const grant = mustBeRunning(mustFind(context, args, who), by.at);
    if (!placeOf(grant, personId))
      refuse('person_not_on_grant', `${personId} is not on the roster of this grant.`);
    context.db
      .insert(grantTakenOff)
      .values({ grantId: grant.id, personId, by: who.member.person.id, at: by.at })
      .run();
    touch(context, grant.id, by.at);
    const these = and(eq(tokens.personId, personId), eq(tokens.grantId, grant.id));
    const { live } = endSelectedTokens(context, these, by.at);
    const data = { person: personId, tokensEnded: live };
    const after = recorded(context, grant.id, 'grant.person_taken_off', by, who, data);
    beginDuties(context, after, { cause: 'taken_off', at: by.at, actor: who.actor, personId });
    return after;
  },
  (args) => args.grantId,
);

function mustBeRunning(grant: Grant, at: number): Grant {
  const over = refusalOfEndedGrant(grant, at);
  if (over) throw new RefusedError(over);
  if (grant.state !== 'active' && grant.state !== 'approved')
    refuse('illegal_transition', 'Amend the text of a grant that is not approved yet.');
  return grant;
}

function touch({ db }: WriterContext, grantId: string, at: number): void {
  db.update(grants).set({ updatedAt: at }).where(eq(grants.id, grantId)).run();
}
