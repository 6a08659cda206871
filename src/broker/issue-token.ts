/** Issuing access tokens, for the gateway and for the control API. */
import {
  decideIssue,
  featuresInForce,
  modelsInForce,
  type Decision,
  type IssueFacts,
} from '../core/access.ts';
import { RefusedError, refusal, refuse, type Refusal } from '../core/denials.ts';
import { grantedModels, type Grant } from '../core/grants.ts';
import { effectOf } from '../core/orders/effect.ts';
import { refusalOfNarrowing, scopeOf, type Narrowing } from '../core/narrowing.ts';
import type { Member } from '../core/people.ts';
import { switchesOn, type Features } from '../core/vocabulary.ts';
import { mintId } from '../lib/ids.ts';
import { signAccessToken } from '../oauth/access-token.ts';
import type { ModelAccess, TokenRequest } from '../oauth/token-request.ts';
import { actorOf } from '../store/operations/operation.ts';
import type { UsedProof, UsedUp } from '../store/operations/used-once.ts';
import { authenticate, type Claimant } from './authenticate-client.ts';
import type { Broker } from './broker.ts';
import { checkPossession, type Possession } from './prove-possession.ts';

export interface IssuedToken {
  token: string;
  id: string;
  /** Epoch milliseconds. */
  expiresAt: number;
  issuedAt: number;
  /** Whether it is bound to a key that the client proved to hold. */
  bound: boolean;
  /** What was granted, for a token of the gateway (RFC 9396, section 7). */
  access?: GrantedAccess;
}

/** What a token gives access to: all that the grant gives now, less what the token gave up. */
export interface GrantedAccess {
  grant: string;
  purpose: ModelAccess['purpose'];
  run: string;
  runId: string;
  models: string[];
  operations: string[];
  features: Features;
}

/** How often a decision is made again because policy changed under it, before we say "try again". */
export const MOST_ATTEMPTS = 10;

/** Room for a token comes when one ends: not to be asked for every second. */
const RETRY_TOKENS_MS = 60_000;

/** Somebody who showed who they are, and what that used up. */
interface Asker {
  claimant: Claimant;
  proof: UsedProof | undefined;
}

/**
 * Authenticates whoever asks, decides, stores and records, then signs.
 *
 * @throws RefusedError unrecorded as long as anybody can cause it (the caller counts those), and every
 *   other refusal after it has been recorded
 */
export async function issueToken(
  broker: Broker,
  request: TokenRequest,
  possession: Possession,
): Promise<IssuedToken> {
  // First: a client that has yet to learn the nonce keeps its assertion for the second attempt.
  const proof = await checkPossession(broker, possession);
  const asker = { claimant: await authenticate(broker, request), proof };
  const giveBack = broker.tokenQuota.take(asker.claimant.person.id);
  if (!giveBack)
    return deny(
      broker,
      asker,
      mustKnow(broker, asker),
      refusal('too_many_tokens', undefined, { retryAfterMs: RETRY_TOKENS_MS }),
      undefined,
    );
  try {
    return await issueTo(broker, asker, request.access);
  } finally {
    giveBack();
  }
}

async function issueTo(
  broker: Broker,
  asker: Asker,
  access: ModelAccess | undefined,
): Promise<IssuedToken> {
  for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt += 1) {
    const issued = await tryToIssue(broker, asker, access);
    if (issued) return issued;
  }
  return deny(broker, asker, mustKnow(broker, asker), refusal('too_busy'), undefined);
}

async function tryToIssue(
  broker: Broker,
  asker: Asker,
  access: ModelAccess | undefined,
): Promise<IssuedToken | undefined> {
  const { policy, clock, store, audiences } = broker;
  const { claimant, proof } = asker;
  const { epoch } = policy;
  const signingKey = broker.signingKeys.active;
  const member = mustKnow(broker, asker);
  const grant = access && policy.grant(access.grant);
  const narrowing = access ? narrowingOf(access) : null;
  const facts: IssueFacts | undefined = access && {
    grant,
    ...member,
    purpose: access.purpose,
    // A new run is one that no order can name yet.
    runId: broker.readers.runId(access.grant, access.purpose, access.run),
    bound: proof !== undefined,
    narrowing,
    orders: policy.orders,
    configured: broker.configured,
  };
  const decision = decide(broker, member, access, facts);
  if (!decision.allowed) return deny(broker, asker, member, decision.refusal, grant);
  // Of whole seconds, as a JWT tells time: what is stored and what is signed end at the same moment.
  const issuedAt = wholeSeconds(clock());
  const lifetime = facts?.grant
    ? longestLife(broker, { ...facts, grant: facts.grant }) * 1000
    : broker.controlTokenLifetimeMs;
  const expiresAt = wholeSeconds(Math.min(issuedAt + lifetime, decision.until, claimant.endsAt));
  if (expiresAt <= issuedAt) {
    const code = claimant.endsAt < decision.until ? 'token_expired' : 'grant_expired';
    return deny(broker, asker, member, refusal(code, 'It ends within this second.'), grant);
  }
  const token = {
    id: mintId('tok', clock()),
    personId: member.person.id,
    jkt: proof?.jkt ?? null,
    issuedAt,
    expiresAt,
  };
  const runId = mintId('run', clock());
  const result = await store.write('issueToken', {
    epoch,
    entryId: mintId('ent', issuedAt),
    actor: actorOf(member),
    used: usedBy(asker),
    token: {
      ...token,
      labId: member.lab.id,
      kid: claimant.kid,
      vouchedBy: claimant.vouchedBy,
      signingKid: signingKey.kid,
    },
    ...(access && grant
      ? {
          access: {
            grantId: grant.id,
            grantVersion: grant.version,
            purpose: access.purpose,
            run: { id: runId, name: access.run },
            narrowing,
          },
        }
      : {}),
  });
  if (result.kind === 'stale') return undefined;
  if (result.kind === 'run_ended') return deny(broker, asker, member, refusal('run_ended'), grant);
  const granted =
    access && facts && grant
      ? grantedAccess({ ...facts, grant }, { id: result.runId ?? runId, name: access.run }, clock())
      : undefined;
  const signed = await signAccessToken(signingKey, broker.issuer, {
    ...token,
    audience: access ? audiences.gateway : audiences.control,
    access: granted && {
      grant: granted.grant,
      grant_version: (grant as Grant).version,
      epoch,
      purpose: granted.purpose,
      run: granted.runId,
    },
  });
  return {
    token: signed,
    id: token.id,
    issuedAt,
    expiresAt,
    bound: token.jkt !== null,
    ...(granted ? { access: granted } : {}),
  };
}

function decide(
  { clock }: Broker,
  member: Member,
  access: ModelAccess | undefined,
  facts: IssueFacts | undefined,
): Decision {
  if (member.person.removedAt !== null)
    return { allowed: false, refusal: refusal('person_removed') };
  if (!access || !facts) return { allowed: true, until: Infinity };
  const tooMuch = facts.grant && refusalOfNarrowing(facts.grant.spec, narrowingOf(access) ?? {});
  const decision = decideIssue(tooMuch ? { ...facts, narrowing: null } : facts, clock());
  return decision.allowed && tooMuch ? { allowed: false, refusal: tooMuch } : decision;
}

/** What is asked for of a grant, where it is less than all. */
function narrowingOf({ models, operations, features }: ModelAccess): Narrowing | null {
  if (models === undefined && operations === undefined && features === undefined) return null;
  return { models, operations, features };
}

/** How long a token may live, in seconds: as the grant says, or less where a watch is on. */
function longestLife(
  { clock, rules }: Broker,
  { grant, lab, person, purpose, runId, narrowing, orders }: IssueFacts & { grant: Grant },
): number {
  const { features: allowed } = scopeOf(grant.spec, narrowing);
  // What the token could be used with is watched with it.
  const features = switchesOn(allowed);
  const subject = { grantId: grant.id, labId: lab.id, person, purpose, runId, features };
  const { watchTokenSeconds } = rules.orders;
  // A watch on one model watches the token that could call it.
  const seconds = [{}, ...grantedModels(grant.spec)].map(
    (model) => effectOf(orders, { ...subject, ...model }, clock(), watchTokenSeconds).tokenSeconds,
  );
  return Math.min(grant.spec.tokenLifetimeSeconds, ...seconds);
}

/** What a token gives access to at this moment. */
export function grantedAccess(
  facts: IssueFacts & { grant: Grant },
  run: { id: string; name: string },
  now: number,
): GrantedAccess {
  const { grant, purpose, narrowing } = facts;
  const { operations, features } = scopeOf(grant.spec, narrowing);
  const { models } = modelsInForce(facts, now);
  return {
    grant: grant.id,
    purpose,
    run: run.name,
    runId: run.id,
    models,
    operations,
    features: featuresInForce(facts, features, now),
  };
}

const wholeSeconds = (ms: number): number => Math.floor(ms / 1000) * 1000;

function mustKnow({ policy }: Broker, { claimant }: Asker): Member {
  return policy.member(claimant.person.id) ?? refuse('invalid_client');
}

const usedBy = ({ claimant, proof }: Asker): UsedUp => ({
  assertions: claimant.assertions,
  proof,
});

async function deny(
  broker: Broker,
  asker: Asker,
  member: Member,
  why: Refusal,
  grant: Grant | undefined,
): Promise<never> {
  const at = broker.clock();
  await broker.store.write('denyToken', {
    entryId: mintId('ent', at),
    at,
    actor: actorOf(member),
    used: usedBy(asker),
    personId: member.person.id,
    labId: member.lab.id,
    // Of another lab's grant, nothing is said that would tie it to this one.
    ...(grant && grant.spec.lab === member.lab.id ? { grantId: grant.id } : {}),
    reason: why.code,
    message: why.message,
    orders: why.orders,
  });
  throw new RefusedError(why);
}
