/** What a token is worth at this moment (RFC 7662): by the decision that requests pass, not by its expiry alone. */
import { decideHeld } from '../core/access.ts';
import { isWithin, reachOf } from '../core/authority.ts';
import type { Member } from '../core/people.ts';
import type { AccessToken } from '../oauth/access-token.ts';
import type { Credentials } from '../oauth/token-request.ts';
import { authenticate } from './authenticate-client.ts';
import type { Broker } from './broker.ts';
import { grantedAccess, type GrantedAccess } from './issue-token.ts';
import { readOurToken } from './read-our-token.ts';

/** A token that is good now, and what it gives access to. */
export interface Introspected {
  token: AccessToken;
  /** Of a token of the gateway. */
  access: GrantedAccess | undefined;
}

/**
 * Introspects a token for somebody who may see it: its holder, their lead, the host's people and auditors.
 *
 * @returns undefined for a token that is not good, or that the caller may not see: no difference shows
 * @throws RefusedError `invalid_client`
 */
export async function introspectToken(
  broker: Broker,
  request: Credentials & { token: string },
): Promise<Introspected | undefined> {
  const { policy, clock, readers } = broker;
  const { person, assertions } = await authenticate(broker, request);
  await broker.store.write('consume', { used: { assertions, proof: undefined } });
  const token = await readOurToken(broker, request.token);
  // Looked up after everything that was waited for: a revocation before the answer is in it.
  const known = token && policy.token(token.id);
  const holder = token && policy.member(token.personId);
  const caller = policy.member(person.id);
  if (!known || !holder || !caller || !maySee(caller, holder)) return undefined;
  if (known.revokedAt !== null || known.expiresAt <= clock()) return undefined;
  if (holder.person.removedAt !== null) return undefined;
  const { access } = token;
  if (!access) return { token, access: undefined };
  const grant = policy.grant(access.grant);
  if (!grant) return undefined;
  const facts = {
    grant,
    ...holder,
    purpose: access.purpose,
    runId: access.run,
    tokenId: known.id,
    bound: known.jkt !== null,
    narrowing: known.narrowing,
    orders: policy.orders,
    configured: broker.configured,
  };
  if (!decideHeld(facts, clock()).allowed) return undefined;
  const run = { id: access.run, name: readers.runName(access.run) ?? '' };
  return { token, access: grantedAccess(facts, run, broker.clock()) };
}

function maySee(caller: Member, holder: Member): boolean {
  const reach = reachOf(caller, 'token.read');
  if (typeof reach !== 'string') return false;
  return isWithin(reach, caller, { labId: holder.lab.id, personId: holder.person.id });
}
