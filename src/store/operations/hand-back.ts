/** Handing a person's access back, for good. */
import { and, eq, notInArray } from 'drizzle-orm';
import { refuse } from '../../core/denials.ts';
import type { Grant } from '../../core/grants.ts';
import { ENDED_STATES, hasPlaceOn, placesOf } from '../../core/hand-back.ts';
import type { Person } from '../../core/people.ts';
import type { WriterContext } from '../context.ts';
import { readGrant, readGrants, readPerson } from '../records.ts';
import { grantLeavers, grants, tokens } from '../schema.ts';
import { endSelectedTokens } from './end-tokens.ts';
import { controlOperation, mustReach, type By } from './operation.ts';
import type { TokensEnded } from './revoke-tokens.ts';

export interface HandedBack extends TokensEnded {
  /** The grants on which a place was given up by this. */
  grants: string[];
}

/**
 * Gives up a person's place on one grant, or on every grant that has one for them, and ends the tokens that
 * they hold under it; without a grant, all of their tokens. Nobody can give the place back: the record of
 * who left is never undone. Once more, it succeeds and changes nothing.
 */
export const handBackAccess = controlOperation(
  'access.hand_back',
  (
    context,
    { by, personId, grantId }: { by: By; personId: string; grantId?: string | undefined },
    who,
  ): HandedBack => {
    const person = readPerson(context.db, personId) ?? refuse('not_found');
    mustReach(who, { labId: person.labId, personId: person.id });
    const left =
      grantId === undefined
        ? placesOf(openGrantsOf(context, person.labId), person.id, by.at)
        : placeOn(context, person, grantId);
    for (const grant of left) leave(context, grant.id, person.id, by.at);
    const held = eq(tokens.personId, person.id);
    const ofAudience = (audience: 'gateway' | 'control') =>
      and(held, eq(tokens.audience, audience));
    const batches =
      grantId === undefined
        ? // Those of the control API last: what the access consists in ends first.
          [ofAudience('gateway'), ofAudience('control')]
        : [and(held, eq(tokens.grantId, grantId))];
    const ended = batches.map((which) => endSelectedTokens(context, which, by.at));
    const rows = ended.flatMap((batch) => batch.rows);
    const live = ended.reduce((sum, batch) => sum + batch.live, 0);
    const ids = left.map((grant) => grant.id);
    if (ids.length > 0 || rows.length > 0) {
      context.append({
        id: by.entryId,
        kind: 'access.handed_back',
        at: by.at,
        actor: who.actor,
        ref: person.id,
        lab: person.labId,
        person: person.id,
        grant: grantId ?? (ids.length === 1 ? ids[0] : undefined),
        data: { grants: ids, everything: grantId === undefined, tokensEnded: live },
      });
    }
    return { grants: ids, ended: live, tokenIds: rows.map((token) => token.id) };
  },
  (args) => args.personId,
);

/** The grants of a lab that are not over. */
function openGrantsOf({ db }: WriterContext, labId: string): Grant[] {
  const open = and(eq(grants.labId, labId), notInArray(grants.state, [...ENDED_STATES]));
  return readGrants(db, db.select().from(grants).where(open).all());
}

/** The one grant, unless its place was given up before. */
function placeOn(context: WriterContext, person: Person, grantId: string): Grant[] {
  const grant = readGrant(context.db, grantId);
  if (grant?.spec.lab !== person.labId) return refuse('not_found');
  if (grant.leavers.includes(person.id)) return [];
  if (!hasPlaceOn(grant, person.id))
    refuse('person_not_on_grant', `${person.id} is not on the roster of this grant.`);
  return [grant];
}

function leave(context: WriterContext, grantId: string, personId: string, at: number): void {
  context.db.insert(grantLeavers).values({ grantId, personId, leftAt: at }).run();
  const grant = readGrant(context.db, grantId);
  if (grant) context.changed({ kind: 'grant', value: grant });
}
