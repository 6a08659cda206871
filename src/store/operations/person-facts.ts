/** What is held of a person and can change: their roles and attributes. */
import { eq } from 'drizzle-orm';
import { refuse } from '../../core/denials.ts';
import {
  MAX_ATTRIBUTES,
  type AttributeChanges,
  type Person,
  type Role,
} from '../../core/people.ts';
import { before } from '../../core/durations.ts';
import { mintId } from '../../lib/ids.ts';
import { putOnAgenda, takeOffAgenda, type AgendaItem } from '../agenda.ts';
import type { WriterContext } from '../context.ts';
import { noteIntroduction } from '../introductions.ts';
import { notify } from '../notify.ts';
import { readLab, readPerson } from '../records.ts';
import { people } from '../schema.ts';
import { heldByOrders, mustNotLoosen } from './attribute-orders.ts';
import { controlOperation, mustReach, type Authorised, type By } from './operation.ts';
import { mustFind, mustHaveRolesOfLab, mustLeaveAnAdmin } from './people.ts';

/**
 * Gives a person other roles. What they did while they had the old ones stands, but for approvals of texts still under
 * review: those count only as long as whoever gave them holds the role (core/approvals.ts).
 */
export const setPersonRoles = controlOperation(
  'person.set_roles',
  (context, args: { by: By; personId: string; roles: Role[] }, who): Person => {
    const person = mustFindPresent(context, args.personId, who);
    if (person.id === who.member.person.id) refuse('own_roles');
    const lab = readLab(context.db, person.labId) ?? refuse('not_found');
    const roles = [...new Set(args.roles)];
    mustHaveRolesOfLab(lab, roles);
    if (!roles.includes('admin')) mustLeaveAnAdmin(context, person);
    context.db.update(people).set({ roles }).where(eq(people.id, person.id)).run();
    noteIntroduction(context.db, person.id, who.member.person.id, args.by.at);
    return recorded(context, person, 'person.roles_set', args.by, who, {
      roles,
      before: person.roles,
    });
  },
  (args) => args.personId,
);

/** Sets and takes away attributes of a person. Those that are not named stay as they are. */
export const setPersonAttributes = controlOperation(
  'person.set_attributes',
  (context, args: { by: By; personId: string; changes: AttributeChanges }, who): Person => {
    const person = mustFindPresent(context, args.personId, who);
    mustNotLoosen(context, person, Object.keys(args.changes), who, args.by.at);
    const attributes = { ...person.attributes };
    const until = { ...person.attributesUntil };
    const set = { ...person.attributesSet };
    for (const [name, change] of Object.entries(args.changes)) {
      delete attributes[name];
      delete until[name];
      delete set[name];
      if (change === null) continue;
      if (change.until !== null && change.until <= args.by.at)
        refuse('invalid_request', `The end of "${name}" is past. Give a later one, or none.`, {
          param: name,
        });
      attributes[name] = change.value;
      set[name] = { by: who.member.person.id, at: args.by.at };
      if (change.until !== null) until[name] = change.until;
    }
    if (Object.keys(attributes).length > MAX_ATTRIBUTES)
      refuse('invalid_request', `A person has at most ${MAX_ATTRIBUTES} attributes.`);
    context.db
      .update(people)
      .set({ attributes, attributesUntil: until, attributesSet: set })
      .where(eq(people.id, person.id))
      .run();
    putEndsOnAgenda(context, person.id, until, args.by.at);
    return recorded(context, person, 'person.attributes_set', args.by, who, {
      attributes,
      until: endsForLog(until),
      changed: Object.keys(args.changes),
    });
  },
  (args) => args.personId,
);

function mustFindPresent(context: WriterContext, personId: string, who: Authorised): Person {
  const person = mustFind(context, personId);
  mustReach(who, { labId: person.labId });
  if (person.removedAt !== null) refuse('person_removed');
  return person;
}

function recorded(
  context: WriterContext,
  { id, labId }: Person,
  kind: 'person.roles_set' | 'person.attributes_set',
  by: By,
  who: Authorised,
  data: Parameters<WriterContext['append']>[0]['data'],
): Person {
  const changed = mustFind(context, id);
  context.changed({ kind: 'person', value: changed });
  context.append({
    id: by.entryId,
    kind,
    at: by.at,
    actor: who.actor,
    ref: id,
    lab: labId,
    person: id,
    data,
  });
  tellOfChange(context, changed, kind, by, who);
  return changed;
}

/** Who they are told apart by, and what they may do, is theirs to know: the person's, and their lab's. */
function tellOfChange(
  context: WriterContext,
  { id, labId, name }: Person,
  kind: 'person.roles_set' | 'person.attributes_set',
  { at }: By,
  { member }: Authorised,
): void {
  const what = kind === 'person.roles_set' ? 'roles' : 'attributes';
  const to = [
    ...(member.lab.id === labId ? [] : [{ labId }]),
    ...(member.person.id === id ? [] : [{ labId, personId: id }]),
  ];
  if (to.length === 0) return;
  notify(context, {
    kind: `person.${what}_changed`,
    ref: id,
    at,
    to,
    title: `${member.person.name} of ${member.lab.name} changed the ${what} of ${name}: see them with "sallyport person show ${id}"`,
  });
}

const endsForLog = (until: Record<string, number>): Record<string, string> =>
  Object.fromEntries(Object.entries(until).map(([name, at]) => [name, new Date(at).toISOString()]));

/** Their ends, and reminders before. */
function putEndsOnAgenda(
  context: WriterContext,
  personId: string,
  until: Record<string, number>,
  now: number,
): void {
  takeOffAgenda(context, 'attributes', personId);
  const { remindBefore } = context.rules.reviews;
  for (const end of Object.values(until)) {
    const reminders = remindBefore.map((span) => before(end, span)).filter((at) => at > now);
    // One that has just passed is not taken out yet.
    for (const at of [...reminders, end])
      putOnAgenda(context, { kind: 'attributes', ref: personId, at });
  }
}

/** When attributes that an order holds are looked at again, milliseconds. */
const HELD_AGAIN_MS = 60_000;

/**
 * Takes out the attributes of a person that have ended, on record, or reminds of those that will. What a grant requires
 * ends at its moment exactly (core/access.ts); orders take an attribute as unknown once it is out.
 */
export function lookAtAttributes(
  context: WriterContext,
  { ref: personId, at }: AgendaItem,
  now: number,
): void {
  const person = readPerson(context.db, personId);
  if (!person || person.removedAt !== null) return;
  const ends = Object.entries(person.attributesUntil);
  const past = ends.filter(([, end]) => end <= now).map(([name]) => name);
  const held = heldByOrders(context, person, past, now);
  if (held.length > 0)
    putOnAgenda(context, { kind: 'attributes', ref: personId, at: now + HELD_AGAIN_MS });
  const over = past.filter((name) => !held.includes(name));
  const { remindBefore } = context.rules.reviews;
  const ending = ends
    .filter(([, end]) => end > now && remindBefore.some((span) => before(end, span) === at))
    .map(([name]) => name);
  const to = [{ labId: person.labId }, { labId: person.labId, personId }];
  const tell = (kind: 'person.attribute_ending' | 'person.attribute_ended', title: string): void =>
    notify(context, { kind, ref: personId, at: now, to, title });
  const named = (names: string[]): string => names.map((name) => `"${name}"`).join(', ');
  if (ending.length > 0) {
    const when = ending.map((name) => new Date(person.attributesUntil[name] ?? 0).toISOString());
    tell(
      'person.attribute_ending',
      `Of ${person.name}, ${named(ending)} ends at ${[...new Set(when)].join(', ')}. Grants may require it; renew it with "sallyport person set-attributes ${personId}".`,
    );
  }
  if (over.length === 0) return;
  const left = <T>(all: Record<string, T>): Record<string, T> =>
    Object.fromEntries(Object.entries(all).filter(([name]) => !over.includes(name)));
  const attributes = left(person.attributes);
  const attributesUntil = left(person.attributesUntil);
  const attributesSet = left(person.attributesSet);
  context.db
    .update(people)
    .set({ attributes, attributesUntil, attributesSet })
    .where(eq(people.id, personId))
    .run();
  context.changed({ kind: 'person', value: mustFind(context, personId) });
  context.append({
    id: mintId('ent', now),
    kind: 'person.attributes_ended',
    at: now,
    actor: { system: 'broker' },
    ref: personId,
    lab: person.labId,
    person: personId,
    data: { ended: over, attributes, until: endsForLog(attributesUntil) },
  });
  tell(
    'person.attribute_ended',
    `Of ${person.name}, ${named(over)} has ended. Grants that require it give them nothing until it is renewed.`,
  );
}
