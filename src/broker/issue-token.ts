/** Issuing access tokens, for the gateway and for the control API. */
import { decideIssue } from '../core/access.ts';
import { RefusedError, refusal, refuse, type Refusal } from '../core/denials.ts';
import type { Grant } from '../core/grants.ts';
import type { Member } from '../core/people.ts';
import type { Features } from '../core/vocabulary.ts';
import { mintId } from '../lib/ids.ts';
import { signAccessToken } from '../oauth/access-token.ts';
import type { AuthenticatedClient } from '../oauth/client-assertion.ts';
import type { ModelAccess, TokenRequest } from '../oauth/token-request.ts';
import { actorOf } from '../store/operations/operation.ts';
import { authenticate } from './authenticate-client.ts';
import type { Broker } from './broker.ts';

export interface IssuedToken {
  token: string;
  id: string;
  /** Epoch milliseconds. */
  expiresAt: number;
  issuedAt: number;
  /** What was granted, for a token of the gateway (RFC 9396, section 7). */
  access?: ModelAccess & {
    models: string[];
    operations: string[];
    features: Features;
    runId: string;
  };
}

/** How often a decision is made again because policy changed under it, before we say "try again". */
export const MOST_ATTEMPTS = 10;

/**
 * Authenticates the client, decides, stores and records, then signs.
 *
 * @throws RefusedError `invalid_client` unrecorded (anybody can cause it; the caller counts those), and
 *   every other refusal after it has been recorded
 */
export async function issueToken(broker: Broker, request: TokenRequest): Promise<IssuedToken> {
  const client = await authenticate(broker, request);
  for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt += 1) {
    const issued = await tryToIssue(broker, client, request.access);
    if (issued) return issued;
  }
  const member = broker.policy.member(client.person.id) ?? refuse('invalid_client');
  return deny(broker, client, member, refusal('too_busy'), undefined);
}

async function tryToIssue(
  broker: Broker,
  client: AuthenticatedClient,
  access: ModelAccess | undefined,
): Promise<IssuedToken | undefined> {
  const { policy, clock, store } = broker;
  const epoch = policy.epoch;
  const member = policy.member(client.person.id) ?? refuse('invalid_client');
  // Of whole seconds, as a JWT tells time: what is stored and what is signed end at the same moment.
  const now = Math.floor(clock() / 1000) * 1000;
  const grant = access && policy.grant(access.grant);
  let expiresAt = now + broker.controlTokenLifetimeMs;
  if (access) {
    const decision = decideIssue(
      { grant, ...member, purpose: access.purpose, orders: policy.orders },
      clock(),
    );
    if (!decision.allowed) return deny(broker, client, member, decision.refusal, grant);
    const lifetime = (grant as Grant).spec.tokenLifetimeSeconds * 1000;
    expiresAt = Math.floor(Math.min(now + lifetime, decision.until) / 1000) * 1000;
  }
  const id = mintId('tok', clock());
  const runId = mintId('run', clock());
  const result = await store.write('issueToken', {
    epoch,
    entryId: mintId('ent', now),
    actor: actorOf(member),
    assertion: client.assertion,
    token: {
      id,
      personId: member.person.id,
      labId: member.lab.id,
      kid: client.assertion.kid,
      issuedAt: now,
      expiresAt,
    },
    ...(access && grant
      ? {
          access: {
            grantId: grant.id,
            grantVersion: grant.version,
            purpose: access.purpose,
            run: { id: runId, name: access.run },
          },
        }
      : {}),
  });
  if (result.stale) return undefined;
  const audience = access ? broker.audiences.gateway : broker.audiences.control;
  const claims =
    access && grant
      ? {
          grant: grant.id,
          grant_version: grant.version,
          epoch,
          purpose: access.purpose,
          run: result.runId ?? runId,
        }
      : undefined;
  const token = await signAccessToken(broker.signingKey, broker.issuer, {
    id,
    personId: member.person.id,
    audience,
    issuedAt: now,
    expiresAt,
    access: claims,
  });
  if (!access || !grant || !claims) return { token, id, issuedAt: now, expiresAt };
  const models = grant.spec.endpoints.flatMap((entry) => entry.models);
  return {
    token,
    id,
    issuedAt: now,
    expiresAt,
    access: {
      ...access,
      models,
      operations: grant.spec.operations,
      features: grant.spec.features,
      runId: claims.run,
    },
  };
}

async function deny(
  broker: Broker,
  client: AuthenticatedClient,
  member: Member,
  why: Refusal,
  grant: Grant | undefined,
): Promise<never> {
  const at = broker.clock();
  await broker.store.write('denyToken', {
    entryId: mintId('ent', at),
    at,
    actor: actorOf(member),
    assertion: client.assertion,
    personId: member.person.id,
    labId: member.lab.id,
    // Of another lab's grant, nothing is said that would tie it to this one.
    ...(grant && grant.spec.lab === member.lab.id ? { grantId: grant.id } : {}),
    reason: why.code,
    message: why.message,
  });
  throw new RefusedError(why);
}
