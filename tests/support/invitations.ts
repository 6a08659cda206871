/** Invitations of a test, and joining by them as a client does. */
import { randomUUID, type KeyObject } from 'node:crypto';
import { SignJWT, type JWTHeaderParameters, type JWTPayload } from 'jose';
import request, { type Response } from 'supertest';
import { thumbprintOf } from '../../src/oauth/client-assertion.ts';
import type { Api } from './api.ts';
import { makeKey, type TestPerson } from './people.ts';
import type { TestBroker } from './test-broker.ts';

export interface Invited {
  id: string;
  secret: string;
  link: string;
}

export interface Joiner {
  privateKey: KeyObject;
  publicKey: ReturnType<typeof makeKey>['publicKey'];
}

/** Has somebody invite a person; throws when they may not. */
export async function invite(api: Api, by: TestPerson, body: object): Promise<Invited> {
  const answer = await api.post(by, '/invitations', body);
  if (answer.status !== 201) throw new Error(`Not invited: ${JSON.stringify(answer.body)}`);
  const { id, link } = answer.body as { id: string; link: string };
  return { id, link, secret: link.slice(link.indexOf('.', link.indexOf('#')) + 1) };
}

export function preview(
  test: TestBroker,
  { id, secret }: Omit<Invited, 'link'>,
): Promise<Response> {
  return post(test, `/api/v1/invitations/${id}/preview`, { secret });
}

/** Joins with a key; what is in `changes` stands in place of what is right. */
export async function join(
  test: TestBroker,
  { id, secret }: Omit<Invited, 'link'>,
  key: Joiner = makeKey(),
  changes: { proof?: string; secret?: string; termsDigest?: string } = {},
): Promise<Response> {
  const { publicKey } = key;
  const proof = changes.proof ?? (await joinProof(test, id, key.privateKey));
  return post(test, `/api/v1/invitations/${id}/join`, { secret, publicKey, ...changes, proof });
}

/** A proof that is right in every part, but for what is given. */
export function joinProof(
  { broker }: TestBroker,
  invitationId: string,
  key: KeyObject,
  claims: JWTPayload = {},
  header: Partial<JWTHeaderParameters> = {},
): Promise<string> {
  const now = Math.floor(broker.clock() / 1000);
  const right = {
    aud: broker.issuer,
    sub: invitationId,
    iat: now,
    exp: now + 60,
    jti: randomUUID(),
  };
  return new SignJWT({ ...right, ...claims })
    .setProtectedHeader({ alg: 'EdDSA', typ: 'sallyport-join+jwt', ...header })
    .sign(key);
}

/** The person who joined, to call the API as. */
export async function asPerson(joined: Response, key: Joiner): Promise<TestPerson> {
  const { id, lab, name, roles } = joined.body as Pick<TestPerson, 'id' | 'name' | 'roles'> & {
    lab: string;
  };
  return { id, labId: lab, name, roles, ...key, kid: await thumbprintOf(key.publicKey) };
}

async function post({ url }: TestBroker, path: string, body: object): Promise<Response> {
  return request(url).post(path).send(body);
}
