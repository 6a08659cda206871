/** Who asks for a token: a person who proves to hold their key, or whom their lab vouches for. */
import { refuse } from '../core/denials.ts';
import type { Person } from '../core/people.ts';
import { authenticateClient } from '../oauth/client-assertion.ts';
import { SKEW_MS } from '../oauth/jwt-assertion.ts';
import { verifyLabAssertion } from '../oauth/lab-assertion.ts';
import type { Credentials } from '../oauth/token-request.ts';
import type { UsedAssertion } from '../store/operations/used-once.ts';
import type { Broker } from './broker.ts';

/** Somebody who showed who they are. */
export interface Claimant {
  person: Person;
  vouchedBy: 'person' | 'lab';
  /** The key that signed for them. */
  kid: string;
  /** What is used up with it, by the transaction that acts on it. */
  assertions: UsedAssertion[];
  /** No token outlives this moment, epoch milliseconds. */
  endsAt: number;
}

/**
 * Finds out who asks. Nothing is used up yet: that is for the transaction that acts on it.
 *
 * @throws RefusedError `invalid_client`, `invalid_assertion` or `lab_keys_unavailable`
 */
export async function authenticate(broker: Broker, request: Credentials): Promise<Claimant> {
  const { clientAssertion, labAssertion, clientId } = request;
  const client =
    clientAssertion === undefined ? undefined : await byOwnKey(broker, clientAssertion);
  const vouched = labAssertion === undefined ? undefined : await byLab(broker, labAssertion);
  const claimant = vouched ?? client ?? refuse('invalid_client');
  const others = [clientId, client?.person.id].filter((id) => id !== undefined);
  if (others.some((id) => id !== claimant.person.id)) return refuse('invalid_client');
  return vouched && client
    ? { ...vouched, assertions: [...client.assertions, ...vouched.assertions] }
    : claimant;
}

async function byOwnKey({ policy, issuer, clock }: Broker, assertion: string): Promise<Claimant> {
  const find = (id: string): Person | undefined => policy.person(id);
  const client = await authenticateClient(assertion, issuer, find, clock());
  return {
    person: client.person,
    vouchedBy: 'person',
    kid: client.assertion.kid,
    assertions: [{ by: 'person', ...client.assertion }],
    // Single use and short: what it authenticates is the moment, not the token's whole life.
    endsAt: Infinity,
  };
}

async function byLab(broker: Broker, jwt: string): Promise<Claimant> {
  const { policy, issuer, clock, labKeys, publicUrl } = broker;
  const { labId, subject, assertion, endsAt } = await verifyLabAssertion(jwt, {
    issuer,
    tokenEndpoint: `${publicUrl}/oauth/token`,
    now: clock(),
    findLab: (iss) => {
      const lab = policy.labByIssuer(iss);
      return lab?.identity ? { id: lab.id, identity: lab.identity } : undefined;
    },
    findKeys: (id, identity, kid) => labKeys.find(id, identity, kid),
  });
  const person =
    policy.personBySubject(labId, subject) ??
    refuse(
      'invalid_assertion',
      'The lab that signed this assertion has registered nobody under its "sub".',
    );
  return {
    person,
    vouchedBy: 'lab',
    kid: assertion.kid,
    assertions: [{ by: 'lab', labId, ...assertion }],
    // No token outlives it. Where it is over by our clock and was accepted all the same, their clock is behind.
    endsAt: endsAt > clock() ? endsAt : endsAt + SKEW_MS,
  };
}
