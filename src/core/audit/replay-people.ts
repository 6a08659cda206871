/** Replays entries about labs, people and invitations. */
import { z } from 'zod';
import { exclusionsSchema, NOTHING_EXCLUDED } from '../exclusions.ts';
import type { WithdrawnBecause } from '../invitations.ts';
import { allSet, labKindSchema, roleSchema } from '../people.ts';
import { Gap, actingPerson, dataOf, momentSchema, mustHave } from './logged-entry.ts';
import type { LoggedEntry } from './logged-entry.ts';
import { takePlace } from './replay-grants.ts';
import { endTokens } from './replay-tokens.ts';
import type { Replayed, ReplayedLab, ReplayedPerson } from './replayed.ts';

const whoSchema = z.object({
  name: z.string(),
  roles: z.array(roleSchema),
  attributes: z.record(z.string(), z.string()).default({}),
  subject: z.string().nullable().default(null),
  kid: z.string().optional(),
});

function addPerson(
  state: Replayed,
  { at }: LoggedEntry,
  who: z.infer<typeof whoSchema>,
  ids: { person: string; lab: string; setBy: string | null },
): void {
  const { name, roles, attributes, subject, kid } = who;
  const kids = kid === undefined ? [] : [kid];
  const { person: id, lab: labId, setBy: by } = ids;
  const facts = {
    roles,
    attributes,
    attributesUntil: {},
    attributesSet: allSet(attributes, { by, at }),
  };
  const person = { id, labId, name, ...facts, subject, kids, createdAt: at };
  state.people.set(id, { ...person, removedAt: null });
}

/** The first lab and person. */
export function initialised(state: Replayed, entry: LoggedEntry): void {
  const lab = mustHave(entry, 'lab');
  const { name, admin, ...who } = dataOf(entry, whoSchema.extend({ admin: z.string() }));
  state.host = lab;
  state.labs.set(lab, { id: lab, kind: 'host', name, createdAt: entry.at, identity: null });
  addPerson(
    state,
    entry,
    { name: admin, ...who },
    { person: mustHave(entry, 'person'), lab, setBy: null },
  );
}

const putsBackSchema = z.object({
  restores: z.array(z.string()),
  models: z.record(z.string(), z.string()),
});

const startedSchema = z.object({
  endpoints: z.array(
    z.object({
      id: z.string(),
      safeguardsLifted: z.array(z.string()),
      // Before 0.4.0, nothing put safeguards back.
      putsBack: z.array(putsBackSchema).default([]),
    }),
  ),
  neverGrant: exclusionsSchema.optional(),
});

/** What the configuration said when the broker started. */
export function started(state: Replayed, entry: LoggedEntry): void {
  const { endpoints, neverGrant } = dataOf(entry, startedSchema);
  state.safeguards = new Map(endpoints.map(({ id, safeguardsLifted }) => [id, safeguardsLifted]));
  const putsBack = new Map(endpoints.map((one) => [one.id, one.putsBack]));
  state.configured = { excluded: neverGrant ?? NOTHING_EXCLUDED, putsBack };
  if (!neverGrant) throw new Gap('It does not say what the configuration never grants.');
}

export function labCreated(state: Replayed, entry: LoggedEntry): void {
  const id = mustHave(entry, 'lab');
  const { name, labKind: kind } = dataOf(
    entry,
    z.object({ name: z.string(), labKind: labKindSchema }),
  );
  state.labs.set(id, { id, kind, name, createdAt: entry.at, identity: null });
}

const identitySchema = z.object({
  issuer: z.string(),
  jwksUrl: z.string().nullable().default(null),
  kids: z.array(z.string()).default([]),
});

/** Whatever a lab vouched for with another identity ended with that. */
export function identitySet(state: Replayed, entry: LoggedEntry): void {
  const lab = mustKnowLab(state, entry);
  state.labs.set(lab.id, { ...lab, identity: dataOf(entry, identitySchema) });
  endTokens(state, (token) => token.labId === lab.id && token.vouchedBy === 'lab');
}

export function identityRemoved(state: Replayed, entry: LoggedEntry): void {
  const lab = mustKnowLab(state, entry);
  state.labs.set(lab.id, { ...lab, identity: null });
  endTokens(state, (token) => token.labId === lab.id && token.vouchedBy === 'lab');
}

export function personCreated(state: Replayed, entry: LoggedEntry): void {
  const setBy = 'person' in entry.actor ? entry.actor.person : null;
  const ids = { person: mustHave(entry, 'person'), lab: mustHave(entry, 'lab'), setBy };
  addPerson(state, entry, dataOf(entry, whoSchema), ids);
}

const invitedSchema = z.object({
  expiresAt: momentSchema,
  rosterUntil: momentSchema.nullable().default(null),
});

export function invited(state: Replayed, entry: LoggedEntry): void {
  const id = mustHave(entry, 'ref');
  state.invitations.set(id, {
    id,
    labId: mustHave(entry, 'lab'),
    grantId: entry.grant ?? null,
    invitedBy: actingPerson(entry).person,
    ...dataOf(entry, invitedSchema),
    joinedAs: null,
    endedAt: null,
    withdrawnBecause: null,
  });
}

export function invitationWithdrawn(state: Replayed, entry: LoggedEntry): void {
  const invitation = state.invitations.get(mustHave(entry, 'ref'));
  if (!invitation) throw new Gap('The invitation is not in the log before.');
  const withdrawnBecause = (entry.reason ?? null) as WithdrawnBecause | null;
  state.invitations.set(invitation.id, { ...invitation, endedAt: entry.at, withdrawnBecause });
}

/** Somebody joined by invitation, onto the roster of the grant that it names. */
export function joined(state: Replayed, entry: LoggedEntry): void {
  const person = mustHave(entry, 'person');
  const { invitedBy: setBy, ...who } = dataOf(entry, whoSchema.extend({ invitedBy: z.string() }));
  addPerson(state, entry, who, { person, lab: mustHave(entry, 'lab'), setBy });
  const invitation = state.invitations.get(mustHave(entry, 'ref'));
  if (invitation)
    state.invitations.set(invitation.id, { ...invitation, joinedAs: person, endedAt: entry.at });
  const { rosterUntil } = dataOf(entry, invitedSchema.pick({ rosterUntil: true }));
  if (entry.grant !== undefined) takePlace(state, entry, person, rosterUntil);
}

/** Somebody was removed: their tokens end, and approvals that they gave to texts under review. */
export function personRemoved(state: Replayed, entry: LoggedEntry): void {
  const person = mustKnowPerson(state, entry);
  state.people.set(person.id, { ...person, removedAt: entry.at });
  endTokens(state, (token) => token.personId === person.id);
  const { approvalsUndone } = dataOf(
    entry,
    z.object({ approvalsUndone: z.array(z.string()).default([]) }),
  );
  for (const id of approvalsUndone) {
    const grant = state.grants.get(id);
    const text = grant?.texts.get(grant.proposed?.version ?? grant.version);
    if (text) text.approvals = text.approvals.filter(({ personId }) => personId !== person.id);
  }
}

/** Somebody has other roles. */
export function rolesSet(state: Replayed, entry: LoggedEntry): void {
  const person = mustKnowPerson(state, entry);
  const { roles } = dataOf(entry, z.object({ roles: z.array(roleSchema) }));
  state.people.set(person.id, { ...person, roles });
}

const attributesSchema = z.object({
  attributes: z.record(z.string(), z.string()),
  until: z.record(z.string(), momentSchema),
  changed: z.array(z.string()).default([]),
});

/** What is known of somebody changed, or has ended. */
export function attributesSet(state: Replayed, entry: LoggedEntry): void {
  const person = mustKnowPerson(state, entry);
  const { attributes, until: attributesUntil, changed } = dataOf(entry, attributesSchema);
  const set = changed.length === 0 ? undefined : { by: actingPerson(entry).person, at: entry.at };
  const sources = Object.fromEntries(
    Object.keys(attributes).flatMap((name) => {
      const one = changed.includes(name) ? set : person.attributesSet[name];
      return one ? [[name, one]] : [];
    }),
  );
  state.people.set(person.id, { ...person, attributes, attributesUntil, attributesSet: sources });
}

const keySchema = z.object({ kid: z.string() });

export function keyAdded(state: Replayed, entry: LoggedEntry): void {
  const person = mustKnowPerson(state, entry);
  const kids = [...person.kids, dataOf(entry, keySchema).kid];
  state.people.set(person.id, { ...person, kids });
}

export function keyRemoved(state: Replayed, entry: LoggedEntry): void {
  const person = mustKnowPerson(state, entry);
  const { kid } = dataOf(entry, keySchema);
  state.people.set(person.id, { ...person, kids: person.kids.filter((one) => one !== kid) });
  endTokens(state, (token) => token.personId === person.id && token.kid === kid);
}

function mustKnowLab({ labs }: Replayed, entry: LoggedEntry): ReplayedLab {
  const lab = labs.get(mustHave(entry, 'lab'));
  if (!lab) throw new Gap('The lab is not in the log before.');
  return lab;
}

function mustKnowPerson({ people }: Replayed, entry: LoggedEntry): ReplayedPerson {
  const person = people.get(mustHave(entry, 'person'));
  if (!person) throw new Gap('The person is not in the log before.');
  return person;
}
