/** People of a test: registered through the broker's own verbs, each with a key. */
import { generateKeyPairSync, randomUUID, type KeyObject } from 'node:crypto';
import { SignJWT, type JWTPayload } from 'jose';
import { createLab, createPerson, initialise } from '../../src/broker/manage-people.ts';
import type { Broker } from '../../src/broker/broker.ts';
import type { Lab, Person, PublicKey, Role } from '../../src/core/people.ts';
import { ASSERTION_TYPE } from '../../src/oauth/client-assertion.ts';
import { thumbprintOf } from '../../src/oauth/client-assertion.ts';
import type { ModelAccess } from '../../src/oauth/token-request.ts';
import type { TestBroker } from './test-broker.ts';

export interface TestPerson {
  id: string;
  labId: string;
  name: string;
  roles: Role[];
  privateKey: KeyObject;
  publicKey: PublicKey;
  kid: string;
}

export interface People {
  host: Lab;
  /** The granting lab. */
  admin: TestPerson;
  secondAdmin: TestPerson;
  safety: TestPerson;
  auditor: TestPerson;
  partner: Lab;
  lead: TestPerson;
  researcher: TestPerson;
  secondResearcher: TestPerson;
  partnerAuditor: TestPerson;
  /** A partner that nothing of the first one is to be shown to. */
  otherPartner: Lab;
  otherLead: TestPerson;
  otherResearcher: TestPerson;
  /** A lab that belongs to neither side. */
  auditLab: Lab;
  outsideAuditor: TestPerson;
}

/** A new Ed25519 key, and its public half as a person registers it. */
export function makeKey(): { privateKey: KeyObject; publicKey: PublicKey } {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const { x } = publicKey.export({ format: 'jwk' });
  return { privateKey, publicKey: { kty: 'OKP', crv: 'Ed25519', x: x as string } };
}

/** Makes the host lab with its people, two partner labs with theirs, and a lab of auditors. */
export async function makePeople({ broker }: TestBroker): Promise<People> {
  const first = makeKey();
  const made = await initialise(broker, 'Host Lab', {
    name: 'Ada Admin',
    roles: ['admin'],
    attributes: {},
    publicKey: first.publicKey,
  });
  const admin = await withKey(made.admin, first);
  const lab = (name: string, kind: 'partner' | 'auditor'): Promise<Lab> =>
    createLab(broker, admin.id, { name, kind });
  const add = (where: Lab, name: string, ...roles: Role[]): Promise<TestPerson> =>
    makePerson(broker, admin.id, where.id, name, roles);
  const host = made.lab;
  const partner = await lab('Partner Lab', 'partner');
  const otherPartner = await lab('Other Partner', 'partner');
  const auditLab = await lab('Audit House', 'auditor');
  return {
    host,
    admin,
    secondAdmin: await add(host, 'Bea Admin', 'admin'),
    safety: await add(host, 'Sol Safety', 'safety'),
    auditor: await add(host, 'Kim Auditor', 'auditor'),
    partner,
    lead: await add(partner, 'Lee Lead', 'lead'),
    researcher: await add(partner, 'Rio Researcher', 'researcher'),
    secondResearcher: await add(partner, 'Sam Researcher', 'researcher'),
    partnerAuditor: await add(partner, 'Pat Auditor', 'auditor'),
    otherPartner,
    otherLead: await add(otherPartner, 'Oda Lead', 'lead'),
    otherResearcher: await add(otherPartner, 'Ole Researcher', 'researcher'),
    auditLab,
    outsideAuditor: await add(auditLab, 'Uma Auditor', 'auditor'),
  };
}

/** Registers one more person, with a new key. */
export async function makePerson(
  broker: Broker,
  actorId: string,
  labId: string,
  name: string,
  roles: Role[],
): Promise<TestPerson> {
  const key = makeKey();
  const input = { name, roles, attributes: {}, publicKey: key.publicKey };
  return withKey(await createPerson(broker, actorId, labId, input), key);
}

async function withKey(person: Person, key: ReturnType<typeof makeKey>): Promise<TestPerson> {
  const { id, labId, name, roles } = person;
  return { id, labId, name, roles, ...key, kid: await thumbprintOf(key.publicKey) };
}

/**
 * Signs a client assertion that is right in every part, but for what is given.
 *
 * @param claims what stands in place of the right claims; undefined leaves one out
 */
export function signAssertion(
  { broker }: TestBroker,
  person: TestPerson,
  claims: JWTPayload = {},
  key: KeyObject = person.privateKey,
): Promise<string> {
  const now = Math.floor(broker.clock() / 1000);
  const right = {
    iss: person.id,
    sub: person.id,
    aud: broker.issuer,
    jti: randomUUID(),
    iat: now,
    exp: now + 60,
  };
  return new SignJWT({ ...right, ...claims })
    .setProtectedHeader({ alg: 'EdDSA', kid: person.kid })
    .sign(key);
}

/** The form of a token request that is right in every part. */
export async function tokenForm(
  test: TestBroker,
  person: TestPerson,
  access?: Omit<ModelAccess, 'type'>,
): Promise<Record<string, string>> {
  return {
    grant_type: 'client_credentials',
    client_assertion_type: ASSERTION_TYPE,
    client_assertion: await signAssertion(test, person),
    ...(access
      ? { authorization_details: JSON.stringify([{ type: 'model_access', ...access }]) }
      : {}),
  };
}

/** Gets a token of the control API or, with an access, of the gateway; over HTTP as clients do. */
export async function getToken(
  test: TestBroker,
  person: TestPerson,
  access?: Omit<ModelAccess, 'type'>,
): Promise<string> {
  const body = new URLSearchParams(await tokenForm(test, person, access));
  const answer = await fetch(`${test.url}/oauth/token`, { method: 'POST', body });
  const token = (await answer.json()) as { access_token?: string };
  if (token.access_token === undefined)
    throw new Error(`No token for ${person.name}: ${JSON.stringify(token)}`);
  return token.access_token;
}
