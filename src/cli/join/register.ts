/** Registers a key by an invitation, so that whatever happens the key is either in use or gone. */
import { call, jsonOf } from '../http.ts';
import { offerSchema, type Offer } from '../invitation-wire.ts';
import type { HeldKey } from '../new-key.ts';
import { CliError } from '../problems.ts';
import { publicKeyOf } from '../public-key.ts';
import { isDecided } from '../refusal.ts';
import type { Surroundings } from '../surroundings.ts';
import { personSchema, type Person } from '../wire.ts';
import { loginWith, type Link } from './link.ts';
import { signJoinProof } from './proof.ts';

/** What the invitation of a link says. @throws CliError */
export async function fetchOffer({ url, invitation, secret }: Link): Promise<Offer> {
  return jsonOf(
    await post(`${url}/api/v1/invitations/${invitation}/preview`, { secret }),
    offerSchema,
  );
}

/**
 * Joins with a key.
 *
 * @param issuer the broker's issuer
 * @param termsDigest of the terms that are accepted by it, if any are
 * @throws CliError
 */
export async function register(
  around: Surroundings,
  { url, invitation, secret }: Link,
  issuer: string,
  held: HeldKey,
  termsDigest: string | undefined,
): Promise<Person> {
  const body = {
    secret,
    publicKey: await publicKeyOf(held.key),
    proof: await signJoinProof(held.key, issuer, invitation, around.clock()),
    termsDigest,
  };
  try {
    const response = await post(`${url}/api/v1/invitations/${invitation}/join`, body);
    return await jsonOf(response, personSchema);
  } catch (error) {
    if (isDecided(error)) {
      held.undo();
      throw error;
    }
    if (!(error instanceof CliError)) throw error;
    throw new CliError(
      `${error.message} You may be registered all the same, so your key is kept in ${held.path}. Run the same command again. If it says that the invitation is not valid, you are registered: ask whoever invited you for your id, then run "${loginWith(around, url, 'per_…', held.path)}".`,
      error.exitCode,
      error,
    );
  }
}

function post(url: string, body: object): Promise<Response> {
  return call(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
}
