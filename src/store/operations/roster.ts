/** The places of a grant's roster, counted as the rows stand in this transaction. */
import { eq } from 'drizzle-orm';
import { refuse } from '../../core/denials.ts';
import { rosterOf, type Grant, type GrantSpec } from '../../core/grants.ts';
import { placesTaken } from '../../core/invitations.ts';
import type { WriterContext } from '../context.ts';
import { readLab, readPresent } from '../records.ts';
import { invitations } from '../schema.ts';
import { openInvitations } from './open-invitations.ts';

/** How many places of a grant's roster are taken at a moment. */
export function takenPlaces({ db }: WriterContext, grant: Grant, now: number): number {
  const ids = rosterOf(grant).map((place) => place.personId);
  const present = readPresent(db, grant.spec.lab, ids);
  return placesTaken(grant, (id) => present.has(id), now);
}

/** The same, with the places that open invitations hold. */
export function promisedPlaces(context: WriterContext, grant: Grant, now: number): number {
  const open = openInvitations(context, eq(invitations.grantId, grant.id), now);
  return takenPlaces(context, grant, now) + open.length;
}

/** @throws RefusedError for a grant of no partner lab, or that names anybody else than people of it */
export function mustNameRealPeople({ db }: WriterContext, spec: GrantSpec): void {
  const lab = readLab(db, spec.lab);
  if (lab?.kind !== 'partner')
    refuse('invalid_request', 'The lab of a grant must be a registered partner lab.', {
      param: 'lab',
    });
  const ids = spec.people.map(({ person }) => person);
  const present = readPresent(db, spec.lab, ids);
  const stranger = ids.find((id) => !present.has(id));
  if (stranger !== undefined) {
    refuse('invalid_request', `${stranger} is not a person of the partner lab ${spec.lab}.`, {
      param: 'people',
    });
  }
}

/** Who joined by invitation stays on the roster: no text that leaves them out may seem to be all there is. */
export function mustHoldJoiners(context: WriterContext, grant: Grant, now: number): void {
  const { spec } = grant;
  const named = new Set(spec.people.map(({ person }) => person));
  const others = grant.joiners.filter(({ personId }) => !named.has(personId));
  const joined = takenPlaces(
    context,
    { ...grant, spec: { ...spec, people: [] }, joiners: others },
    now,
  );
  const all = takenPlaces(context, grant, now);
  if (joined > 0 && all > (spec.maxPeople ?? 0)) {
    refuse(
      'invalid_request',
      `${joined} joined this grant by invitation: with those named, "maxPeople" must be at least ${all}. Remove people first, or make a new grant.`,
      { param: 'maxPeople' },
    );
  }
}
