/** Handing a person's access back, for good. */
import { and, eq, type SQL } from 'drizzle-orm';
import { refuse } from '../../core/denials.ts';
import type { Grant } from '../../core/grants.ts';
import { hasPlaceOn, placesOf } from '../../core/hand-back.ts';
import type { Person } from '../../core/people.ts';
import { mintId } from '../../lib/ids.ts';
import { beginDuties } from '../duties.ts';
import type { WriterContext } from '../context.ts';
import { grantsOfLab, readGrant, readPerson } from '../records.ts';
import { grantLeavers, tokens } from '../schema.ts';
import { endSelectedTokens } from './end-tokens.ts';
import { withdrawSentBy } from './open-invitations.ts';
import { controlOperation, mustReach, type By } from './operation.ts';
import type { TokensEnded } from './revoke-tokens.ts';

export interface HandedBack extends TokensEnded {
  /** The grants on which a place was given up by this. */
  grants: string[];
}

/**
 * Gives up a person's place on one grant, or on every grant that has one for them, and ends the tokens that
 * they hold under it; without a grant, all of their tokens, and the invitations that they sent. Nobody can
 * give the place back: the record of who left is never undone. Once more, it succeeds and changes nothing.
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
    const everything = grantId === undefined;
    const left = everything
      ? placesOf(grantsOfLab(context.db, person.labId), person.id, by.at)
      : placeOn(context, person, grantId);
    for (const grant of left) leave(context, grant.id, person.id, by.at);
    const leftIds = left.map(({ id }) => id);
    // What is under no grant last: the tokens of the control API are what somebody hands back with.
    const parts = everything ? [...leftIds, undefined] : [grantId];
    const ended = parts.map((grant) => ({
      grant,
      ...endSelectedTokens(context, heldBy(person.id, grant), by.at),
    }));
    ended
      .filter(({ grant, rows }) => rows.length > 0 || leftIds.some((id) => id === grant))
      .forEach(({ grant, live }, i) =>
        context.append({
          // How many there are is known here alone.
          id: i === 0 ? by.entryId : mintId('ent', by.at),
          kind: 'access.handed_back',
          at: by.at,
          actor: who.actor,
          ref: person.id,
          lab: person.labId,
          person: person.id,
          grant,
          data: { everything, tokensEnded: live },
        }),
      );
    const { actor } = who;
    for (const grant of left)
      beginDuties(context, grant, { cause: 'handed_back', at: by.at, actor, personId });
    if (everything) {
      withdrawSentBy(context, person.id, { at: by.at, actor, because: 'access_handed_back' });
    }
    return {
      grants: leftIds,
      ended: ended.reduce((sum, { live }) => sum + live, 0),
      tokenIds: ended.flatMap(({ rows }) => rows.map((token) => token.id)),
    };
  },
  (args) => args.personId,
);

/** The tokens of a person: under a grant, or all that they still have. */
const heldBy = (personId: string, grantId: string | undefined): SQL | undefined =>
  and(
    eq(tokens.personId, personId),
    grantId === undefined ? undefined : eq(tokens.grantId, grantId),
  );

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
