/** Registering labs, people and their keys. */
import type { AttributeChanges, Lab, LabKind, Person, PublicKey, Role } from '../core/people.ts';
import { mintId } from '../lib/ids.ts';
import { thumbprintOf } from '../oauth/client-assertion.ts';
import type { NewPerson } from '../store/operations/people.ts';
import type { Broker } from './broker.ts';
import { by } from './by.ts';

export interface PersonInput {
  name: string;
  roles: Role[];
  attributes: Record<string, string>;
  /** What their lab calls them in its assertions. */
  subject?: string | undefined;
  /** Absent for those whose lab signs for them. */
  publicKey?: PublicKey | undefined;
}

export function createLab(
  broker: Broker,
  actorId: string,
  input: { name: string; kind: Exclude<LabKind, 'host'> },
): Promise<Lab> {
  const who = by(broker, actorId);
  return broker.store.write('createLab', { by: who, id: mintId('lab', who.at), ...input });
}

export async function createPerson(
  broker: Broker,
  actorId: string,
  labId: string,
  input: PersonInput,
): Promise<Person> {
  const who = by(broker, actorId);
  return broker.store.write('createPerson', {
    by: who,
    labId,
    person: await newPerson(input, who.at),
  });
}

export function removePerson(broker: Broker, actorId: string, personId: string): Promise<Person> {
  return broker.store.write('removePerson', { by: by(broker, actorId), personId });
}

export function setPersonRoles(
  broker: Broker,
  actorId: string,
  personId: string,
  roles: Role[],
): Promise<Person> {
  return broker.store.write('setPersonRoles', { by: by(broker, actorId), personId, roles });
}

export function setPersonAttributes(
  broker: Broker,
  actorId: string,
  personId: string,
  changes: AttributeChanges,
): Promise<Person> {
  return broker.store.write('setPersonAttributes', { by: by(broker, actorId), personId, changes });
}

export async function addPersonKey(
  broker: Broker,
  actorId: string,
  personId: string,
  publicKey: PublicKey,
): Promise<Person> {
  const kid = await thumbprintOf(publicKey);
  return broker.store.write('addPersonKey', {
    by: by(broker, actorId),
    personId,
    key: { kid, x: publicKey.x },
  });
}

export function removePersonKey(
  broker: Broker,
  actorId: string,
  personId: string,
  kid: string,
): Promise<Person> {
  return broker.store.write('removePersonKey', { by: by(broker, actorId), personId, kid });
}

/** Makes the host lab and its first admin in an empty data directory. Whoever can do this is trusted with everything. */
export async function initialise(
  broker: Pick<Broker, 'clock' | 'store'>,
  labName: string,
  admin: PersonInput,
): Promise<{ lab: Lab; admin: Person }> {
  const at = broker.clock();
  return broker.store.write('initialise', {
    at,
    entryId: mintId('ent', at),
    lab: { id: mintId('lab', at), name: labName },
    admin: await newPerson(admin, at),
  });
}

async function newPerson(input: PersonInput, now: number): Promise<NewPerson> {
  const { publicKey, subject = null, ...rest } = input;
  return {
    ...rest,
    id: mintId('per', now),
    subject,
    key: publicKey && { kid: await thumbprintOf(publicKey), x: publicKey.x },
  };
}
