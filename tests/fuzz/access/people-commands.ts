/** What happens to people: they are made, invited, removed, and go; their keys come and go; time passes. */
import * as fc from 'fast-check';
import { handBackAccess } from '../../../src/broker/end-access.ts';
import { digestOfSecret, invitePerson } from '../../../src/broker/invite-person.ts';
import { digestOfTerms } from '../../../src/broker/manage-grants.ts';
import {
  addPersonKey,
  createPerson,
  removePerson,
  removePersonKey,
  setPersonAttributes,
  setPersonRoles,
} from '../../../src/broker/manage-people.ts';
import { runAgenda } from '../../../src/broker/run-agenda.ts';
import { mintId } from '../../../src/lib/ids.ts';
import { thumbprintOf } from '../../../src/oauth/client-assertion.ts';
import { makeKey } from '../../support/people.ts';
import { advance, attempt, choose, command, oneOf, pick, whoAndWhat } from './run.ts';
import type { Command } from './run.ts';
import type { Role } from '../../../src/core/people.ts';
import { isOrderInForce, statusOf } from './oracle.ts';
import { mayLoosen } from './order-rules.ts';
import { HOUR } from './setting.ts';
import { isOneOf, partsOf, personOf, placesOf, taken } from './state.ts';
import type { Model, ModelGrant, ModelOrder, ModelPerson } from './state.ts';

/** Made once: keys cost more than everything else together. */
const spareKeys = Array.from({ length: 64 }, makeKey);

const answersFor = (actor: ModelPerson, lab: string): boolean =>
  !actor.removed &&
  (isOneOf(actor, 'host.admin') || (isOneOf(actor, 'partner.lead') && actor.lab === lab));

const removes = (actor: ModelPerson, lab: string): boolean =>
  answersFor(actor, lab) || (!actor.removed && isOneOf(actor, 'host.safety'));

/** The host keeps enough people for something to go on. */
const isSpared = (model: Model, person: ModelPerson): boolean =>
  person.kind !== 'partner' &&
  model.people.filter((one) => one.kind === person.kind && !one.removed).length < 6;

/** Without an admin of the host who can log in, nothing would go on. */
const isLastAdmin = ({ people }: Model, person: ModelPerson): boolean =>
  isOneOf(person, 'host.admin') &&
  !people.some(
    (one) => one !== person && !one.removed && one.keys.length > 0 && isOneOf(one, 'host.admin'),
  );

/** Whether an order stops somebody by what is known of them, and would not if it were not known. */
const isHeldBy = (model: Model, person: ModelPerson, attribute: string): boolean =>
  model.orders.some(
    (order) =>
      isOrderInForce(order, model.now) &&
      isAboutAttributeOf(model, order, person) &&
      partsOf(order.selector).attributes?.some(
        ({ name, is, unknown }) =>
          name === attribute &&
          unknown === 'spared' &&
          is.includes(person.attributes[attribute] ?? ''),
      ) === true,
  );

/** Whether an order can be about what is known of a person. */
function isAboutAttributeOf(
  model: Model,
  order: ModelOrder,
  { id, lab }: Pick<ModelPerson, 'id' | 'lab'>,
): boolean {
  const parts = partsOf(order.selector);
  const issuedByOtherPartner =
    order.byLab !== lab &&
    model.labs.some((one) => one.id === order.byLab && one.kind === 'partner');
  return (
    order.level > 0 &&
    !issuedByOtherPartner &&
    parts.attributes?.some(({ name }) => name === 'export_status') === true &&
    (parts.lab ?? lab) === lab &&
    (parts.person ?? id) === id &&
    (parts.grant === undefined ||
      model.grants.some((grant) => grant.id === parts.grant && grant.lab === lab))
  );
}

/** Whether an order keeps somebody from saying what the export status of a person is: to say otherwise would be to lift it. */
const isHeld = (model: Model, actor: ModelPerson, { id, lab }: Pick<ModelPerson, 'id' | 'lab'>) =>
  model.orders.some(
    (order) =>
      isOrderInForce(order, model.now) &&
      isAboutAttributeOf(model, order, { id, lab }) &&
      !mayLoosen(model, order, actor),
  );

const ROLES: Record<ModelPerson['kind'], readonly Role[]> = {
  host: ['admin', 'safety', 'executive', 'auditor'],
  partner: ['lead', 'safety', 'researcher', 'auditor'],
  auditor: ['auditor'],
};

const setRoles = command(
  'person set roles',
  fc.record({ ...whoAndWhat, roles: pick }),
  async (run, seed) => {
    const { model, local } = run;
    const rolesFor = ({ kind }: ModelPerson): Role[] => {
      const some = ROLES[kind].filter((_, i) => (seed.roles >> i) % 2 === 1);
      return some.length > 0 ? some : ROLES[kind].slice(0, 1);
    };
    const isAllowed = (actor: ModelPerson, person: ModelPerson): boolean =>
      answersFor(actor, person.lab) &&
      actor !== person &&
      !person.removed &&
      (rolesFor(person).includes('admin') || !isLastAdmin(model, person));
    const chosen = choose(run, seed, model.people, isAllowed);
    if (!chosen) return;
    const { actor, thing: person } = chosen;
    const roles = rolesFor(person);
    const done = await attempt(run, 'person set roles', isAllowed(actor, person), () =>
      setPersonRoles(local.broker, actor.id, person.id, roles),
    );
    if (done) person.roles = roles;
  },
);

const setAttributes = command(
  'person set attributes',
  fc.record({
    ...whoAndWhat,
    value: fc.constantFrom('restricted', 'cleared', null),
    hours: fc.constantFrom(null, null, 1, 30),
  }),
  async (run, seed) => {
    const { model, local } = run;
    const { value, hours } = seed;
    const isAllowed = (actor: ModelPerson, person: ModelPerson): boolean =>
      answersFor(actor, person.lab) && !person.removed && !isHeld(model, actor, person);
    const chosen = choose(run, seed, model.people, isAllowed);
    if (!chosen) return;
    const { actor, thing: person } = chosen;
    const until = hours === null ? null : model.now + hours * HOUR;
    const done = await attempt(run, 'person set attributes', isAllowed(actor, person), () =>
      setPersonAttributes(local.broker, actor.id, person.id, {
        export_status: value === null ? null : { value, until },
      }),
    );
    if (!done) return;
    delete person.attributes['export_status'];
    delete person.attributesUntil['export_status'];
    if (value === null) return;
    person.attributes['export_status'] = value;
    if (until !== null) person.attributesUntil['export_status'] = until;
  },
);

const create = command('person create', fc.record(whoAndWhat), async (run, seed) => {
  const { model, local } = run;
  const key = spareKeys[model.people.length];
  if (!key) return;
  const chosen = choose(run, seed, model.labs, (actor, { id }) => answersFor(actor, id));
  if (!chosen) return;
  const { actor, thing: lab } = chosen;
  const roles = [lab.kind === 'auditor' ? ('auditor' as const) : ('researcher' as const)];
  const attributes: Record<string, string> =
    seed.who % 2 === 0 ? {} : { export_status: seed.who % 4 === 1 ? 'restricted' : 'cleared' };
  const input = { name: `Person ${model.people.length}`, roles, attributes };
  const says = Object.keys(attributes).length > 0;
  const held = says && isHeld(model, actor, { id: '', lab: lab.id });
  const made = await attempt(run, 'person create', answersFor(actor, lab.id) && !held, () =>
    createPerson(local.broker, actor.id, lab.id, { ...input, publicKey: key.publicKey }),
  );
  if (!made) return;
  const kid = await thumbprintOf(key.publicKey);
  const keys = [{ privateKey: key.privateKey, kid }];
  model.people.push({
    id: made.id,
    lab: lab.id,
    kind: lab.kind,
    roles,
    attributes,
    attributesUntil: {},
    removed: false,
    keys,
  });
});

const remove = command('person remove', fc.record(whoAndWhat), async (run, seed) => {
  const { model, local } = run;
  const people = model.people.filter((person) => !isSpared(model, person));
  const isAllowed = (actor: ModelPerson, person: ModelPerson): boolean =>
    removes(actor, person.lab) && !person.removed && !isLastAdmin(model, person);
  const chosen = choose(run, seed, people, isAllowed);
  if (!chosen) return;
  const { actor, thing: person } = chosen;
  const done = await attempt(run, 'person remove', isAllowed(actor, person), () =>
    removePerson(local.broker, actor.id, person.id),
  );
  if (!done) return;
  person.removed = true;
  endTokens(model, (token) => token.person === person.id);
});

export function endTokens(
  { tokens }: Model,
  isMeant: (token: Model['tokens'][number]) => boolean,
): void {
  for (const token of tokens) if (isMeant(token)) token.ended = true;
}

const addKey = command('person add key', fc.record(whoAndWhat), async (run, seed) => {
  const { model, local } = run;
  const isAllowed = (actor: ModelPerson, person: ModelPerson): boolean =>
    actor === person && !person.removed && person.keys.length < 8;
  const chosen = choose(run, seed, model.people, isAllowed);
  const key = makeKey();
  if (!chosen) return;
  const { actor, thing: person } = chosen;
  const done = await attempt(run, 'person add key', isAllowed(actor, person), () =>
    addPersonKey(local.broker, actor.id, person.id, key.publicKey),
  );
  if (!done) return;
  person.keys.push({ privateKey: key.privateKey, kid: await thumbprintOf(key.publicKey) });
});

const removeKey = command('person remove key', fc.record(whoAndWhat), async (run, seed) => {
  const { model, local } = run;
  const keys = model.people.flatMap((person) => person.keys.map(({ kid }) => ({ person, kid })));
  const isAllowed = (actor: ModelPerson, { person }: { person: ModelPerson }): boolean =>
    !actor.removed &&
    (actor === person || removes(actor, person.lab)) &&
    !(person.keys.length === 1 && isLastAdmin(model, person));
  const chosen = choose(run, seed, keys, isAllowed);
  if (!chosen) return;
  const {
    actor,
    thing: { person, kid },
  } = chosen;
  const done = await attempt(run, 'person remove key', isAllowed(actor, { person }), () =>
    removePersonKey(local.broker, actor.id, person.id, kid),
  );
  if (!done) return;
  person.keys = person.keys.filter((key) => key.kid !== kid);
  endTokens(model, (token) => token.person === person.id && token.kid === kid);
});

const handBack = command(
  'hand back',
  fc.record({ ...whoAndWhat, whole: fc.boolean() }),
  async (run, seed) => {
    const { model, local } = run;
    const isOver = (grant: ModelGrant): boolean =>
      ['rejected', 'withdrawn', 'revoked', 'closed', 'expired'].includes(statusOf(model, grant));
    const has = (grant: ModelGrant, { id }: ModelPerson): boolean =>
      placesOf({ ...grant, off: new Set() }, grant.text.spec).has(id);
    const pairs = model.people
      .filter(({ kind }) => kind === 'partner')
      .flatMap((person) => model.grants.map((grant) => ({ person, grant })));
    const isAllowed = (actor: ModelPerson, { person, grant }: (typeof pairs)[number]): boolean => {
      const reaches =
        !actor.removed &&
        ((isOneOf(actor, 'partner.lead') && actor.lab === person.lab) ||
          (actor === person &&
            isOneOf(actor, 'partner.researcher', 'partner.auditor', 'partner.safety')));
      if (!reaches || seed.whole) return reaches;
      return grant.lab === person.lab && (grant.left.has(person.id) || has(grant, person));
    };
    const chosen = choose(run, seed, pairs, isAllowed);
    if (!chosen) return;
    const { actor, thing } = chosen;
    const { person, grant } = thing;
    const grantId = seed.whole ? undefined : grant.id;
    const done = await attempt(run, 'hand back', isAllowed(actor, thing), () =>
      handBackAccess(local.broker, actor.id, { personId: person.id, grantId }),
    );
    if (!done) return;
    const left = seed.whole
      ? model.grants.filter((one) => has(one, person) && !isOver(one))
      : [grant];
    for (const one of left) one.left.add(person.id);
    endTokens(
      model,
      (token) => token.person === person.id && (seed.whole || token.grant === grant.id),
    );
  },
);

const invite = command('invite', fc.record(whoAndWhat), async (run, seed) => {
  const { model, local } = run;
  const places = model.grants.filter(({ text }) => text.spec.maxPeople !== undefined);
  const chosen = choose(run, seed, places, (actor, { lab }) => answersFor(actor, lab));
  if (!chosen) return;
  const { actor, thing: grant } = chosen;
  const { lab } = grant;
  const hasRoom = taken(model, placesOf(grant, grant.text.spec)) < (grant.text.spec.maxPeople ?? 0);
  // Other invitations may hold places, too; how many is not the model's business.
  const expected = answersFor(actor, lab) && hasRoom ? undefined : false;
  const invited = await attempt(run, 'invite', expected, () =>
    invitePerson(local.broker, actor.id, {
      lab,
      name: `Guest ${model.now}`,
      roles: ['researcher'],
      attributes: {},
      grant: grant.id,
      rosterUntil: seed.who % 3 === 0 ? new Date(model.now + 96 * HOUR).toISOString() : undefined,
      expiresInHours: 48,
    }),
  );
  if (!invited) return;
  const { invitation, secret } = invited;
  model.invitations.push({ id: invitation.id, secret, lab, grant: grant.id });
});

/** Without the proof that whoever joins holds the key: that is the listener's to check. */
const join = command('join', fc.record({ which: pick }), async (run, { which }) => {
  const { model, local } = run;
  const key = spareKeys[model.people.length];
  const invitation = oneOf(model.invitations, which);
  if (!key || !invitation) return;
  const grant = model.grants.find(({ id }) => id === invitation.grant) as ModelGrant;
  const { broker } = local;
  const at = model.now;
  const kid = await thumbprintOf(key.publicKey);
  const personId = mintId('per', at);
  const done = await attempt(run, 'join', undefined, () =>
    broker.store.write('joinByInvitation', {
      at,
      entryIds: [mintId('ent', at), mintId('ent', at)],
      invitationId: invitation.id,
      secretDigest: digestOfSecret(invitation.secret),
      personId,
      key: { kid, x: key.publicKey.x },
      termsDigest: digestOfTerms(grant.text.spec),
    }),
  );
  if (!done) return;
  const { lab, grant: _ } = invitation;
  const keys = [{ privateKey: key.privateKey, kid }];
  const roles = ['researcher' as const];
  model.people.push({
    id: personId,
    lab,
    kind: 'partner',
    roles,
    attributes: {},
    attributesUntil: {},
    removed: false,
    keys,
  });
  const stored = broker.policy.grant(grant.id)?.joiners.find((one) => one.personId === personId);
  grant.joined.set(personId, stored?.until ?? Infinity);
  if (taken(model, placesOf(grant, grant.text.spec)) > (grant.text.spec.maxPeople ?? 0))
    throw new Error('More people joined than the roster has places.');
  const terms = grant.text.spec.terms.text;
  if (grant.state === 'active')
    grant.accepted.set(terms, (grant.accepted.get(terms) ?? new Set()).add(personId));
  if (personOf(model, personId) === undefined) throw new Error('Nobody joined.');
});

/** What falls due is done each second; here, whenever time has passed. */
const wait = command(
  'wait',
  fc.record({ hours: fc.constantFrom(1, 1, 2, 5, 23, 25, 73, 24 * 8, 24 * 20), late: fc.nat(3) }),
  async (run, { hours, late }) => {
    advance(run, hours * HOUR);
    for (const person of run.model.people)
      for (const [name, until] of Object.entries(person.attributesUntil)) {
        const { attributes, attributesUntil } = person;
        if (until > run.model.now || isHeldBy(run.model, person, name)) continue;
        delete attributes[name];
        delete attributesUntil[name];
      }
    // What is over proposes nothing any more.
    for (const grant of run.model.grants)
      if (statusOf(run.model, grant) === 'expired') grant.next = null;
    // What ends by itself has ended, whether that is on record yet or not.
    if (late > 0) await runAgenda(run.local.broker);
    run.local.broker.live.decideAgain();
  },
);

/** By how often each comes. */
export const peopleCommands: { weight: number; arbitrary: fc.Arbitrary<Command> }[] = [
  { weight: 1, arbitrary: create },
  { weight: 2, arbitrary: remove },
  { weight: 2, arbitrary: setRoles },
  { weight: 3, arbitrary: setAttributes },
  { weight: 1, arbitrary: addKey },
  { weight: 1, arbitrary: removeKey },
  { weight: 2, arbitrary: handBack },
  { weight: 2, arbitrary: invite },
  { weight: 4, arbitrary: join },
  { weight: 5, arbitrary: wait },
];
