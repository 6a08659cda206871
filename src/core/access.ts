/**
 * The access decision. One function decides whether a grant stands; what the API, the CLI and the console
 * show as a grant's status, what a token is issued on and what a request passes on are all that function.
 */
import { openApprovals } from './approvals.ts';
import { requirementsEnd, unmet } from './attributes.ts';
import { canPutBack, NOTHING_CONFIGURED, type Configured } from './configured.ts';
import { refusal, type Refusal } from './denials.ts';
import { refusalOfModel, refusalOfPurpose, refusalOfWhole } from './exclusions.ts';
import { grantedModels, placeOf, type Grant } from './grants.ts';
import { scopeOf, type Narrowing, type Scope } from './narrowing.ts';
import { isInNetworks } from './networks.ts';
import { effectOf, refusalByEffect, refusalByOrders, refusalOfLifted } from './orders/effect.ts';
import { ownEnd, type Order } from './orders/order.ts';
import type { OrderSubject } from './orders/selector.ts';
import type { Lab, Person } from './people.ts';
import type { Features, Operation, Purpose } from './vocabulary.ts';

export type GrantStatus = Grant['state'] | 'scheduled' | 'expired' | 'suspended';

export interface Standing {
  status: GrantStatus;
  /** Why nothing passes under the grant, or null when it stands. */
  refusal: Refusal | null;
}

/**
 * Whether a grant as a whole stands at a moment.
 *
 * @param orders the orders in force
 * @param now epoch milliseconds
 * @param configured the same in each call for the same orders: what they come to is remembered
 */
export function grantStanding(
  grant: Grant,
  orders: readonly Order[],
  now: number,
  configured: Configured,
): Standing {
  switch (grant.state) {
    case 'revoked':
      return { status: 'revoked', refusal: refusal('grant_revoked') };
    case 'closed':
      return { status: 'closed', refusal: refusal('grant_closed') };
    case 'draft':
    case 'submitted':
    case 'returned':
    case 'approved':
    case 'rejected':
    case 'withdrawn':
      return {
        status: grant.state,
        refusal: refusal('grant_not_active', whyNotActive(grant, grant.state)),
      };
    case 'active':
      break;
  }
  if (grant.endedAt !== null || now >= Date.parse(grant.spec.window.until))
    return { status: 'expired', refusal: refusal('grant_expired') };
  const stopped =
    refusalOfWhole(grant.spec, configured.excluded) ??
    refusalOfReview(grant, now) ??
    stoppedAsAWhole(grant, orders, now, configured);
  if (stopped) return { status: 'suspended', refusal: stopped };
  if (now < Date.parse(grant.spec.window.from))
    return { status: 'scheduled', refusal: refusal('grant_not_started') };
  return { status: 'active', refusal: null };
}

/** A review that was missed stops everything, until somebody reviews it. */
function refusalOfReview({ id, reviewDueAt }: Grant, now: number): Refusal | null {
  if (reviewDueAt === null || now < reviewDueAt) return null;
  return refusal(
    'review_missed',
    `The review of this grant was due at ${new Date(reviewDueAt).toISOString()}. An admin or safety officer of the host lab reviews it ("sallyport grant review ${id}").`,
  );
}

function whyNotActive(
  grant: Grant,
  state: 'draft' | 'submitted' | 'returned' | 'approved' | 'rejected' | 'withdrawn',
): string {
  switch (state) {
    case 'draft':
      return 'The grant is a draft. It begins with "sallyport grant submit".';
    case 'submitted':
      return `The grant waits for the approval of: ${openApprovals(grant).join(', ')}.`;
    case 'returned':
      return 'The grant was returned to its author, who amends it and submits it again.';
    case 'approved':
      return 'The grant is approved; the lead of the partner lab has not accepted its terms yet ("sallyport grant accept").';
    case 'rejected':
      return 'The grant was rejected.';
    case 'withdrawn':
      return 'The grant was withdrawn before it came into force.';
  }
}

/** Why nobody will ever do anything under a grant again, or null while somebody may. */
export function refusalOfEndedGrant(grant: Grant, now: number): Refusal | null {
  const { status, refusal: why } = grantStanding(grant, [], now, NOTHING_CONFIGURED);
  return OVER.has(status) ? why : null;
}

const OVER: ReadonlySet<GrantStatus> = new Set([
  'rejected',
  'withdrawn',
  'revoked',
  'closed',
  'expired',
]);

/** An order on the grant stops it, and so do orders that between them stop every model or every purpose of it. */
function stoppedAsAWhole(
  grant: Grant,
  orders: readonly Order[],
  now: number,
  configured: Configured,
): Refusal | null {
  if (orders.length === 0) return null;
  const known = standingsUnder(orders, now);
  const before = known.get(grant);
  if (before !== undefined) return before;
  const why = stopOfWhole(grant, orders, now, configured);
  known.set(grant, why);
  return why;
}

interface Standings {
  /** They hold from one moment until another: the next at which one of the orders ends by itself. */
  from: number;
  until: number;
  byGrant: WeakMap<Grant, Refusal | null>;
}

/** Of orders and grants as they are: a change of either makes another object. Every request asks for the same. */
const standings = new WeakMap<readonly Order[], Standings>();

function standingsUnder(orders: readonly Order[], now: number): Standings['byGrant'] {
  const known = standings.get(orders);
  if (known && known.from <= now && now < known.until) return known.byGrant;
  let until = Infinity;
  for (const order of orders) {
    const end = ownEnd(order)?.at ?? Infinity;
    if (end > now) until = Math.min(until, end);
  }
  const byGrant = new WeakMap<Grant, Refusal | null>();
  standings.set(orders, { from: now, until, byGrant });
  return byGrant;
}

function stopOfWhole(
  grant: Grant,
  orders: readonly Order[],
  now: number,
  configured: Configured,
): Refusal | null {
  const subject = { grantId: grant.id, labId: grant.spec.lab };
  const whole = refusalByOrders(orders, subject, now);
  if (whole) return whole;
  return (
    stoppedInEach(grantedModels(grant.spec), (model) =>
      refusalOfModelByOrders(orders, { ...subject, ...model }, now, configured),
    ) ??
    stoppedInEach(grant.spec.purposes.allowed, (purpose) =>
      refusalByOrders(orders, { ...subject, purpose }, now),
    )
  );
}

/** Why orders stop a model for a subject, or null. What they want back and nothing puts back stops it as a whole. */
function refusalOfModelByOrders(
  orders: readonly Order[],
  subject: OrderSubject & { endpoint: string; model: string },
  now: number,
  configured: Configured,
): Refusal | null {
  const effect = effectOf(orders, subject, now);
  const stopped = refusalByEffect(effect, subject);
  if (stopped || effect.putBack.size === 0) return stopped;
  const { endpoint, model } = subject;
  const isPutBack = canPutBack(configured, endpoint, model, [...effect.putBack.keys()]);
  return isPutBack ? null : refusalOfLifted(effect, []);
}

/** Why all of some parts are stopped, and by which orders between them; null where one is not. */
function stoppedInEach<T>(
  parts: readonly T[],
  refusalOf: (part: T) => Refusal | null,
): Refusal | null {
  let first: Refusal | null = null;
  const orders = new Set<string>();
  for (const part of parts) {
    const why = refusalOf(part);
    if (why === null) return null;
    first ??= why;
    for (const id of why.orders ?? []) orders.add(id);
  }
  return first && orders.size > 0
    ? { ...first, orders: [...orders].sort((a, b) => (a < b ? -1 : 1)) }
    : first;
}

/** Facts about who asks, under which grant, for what. */
export interface IssueFacts {
  grant: Grant | undefined;
  lab: Lab;
  person: Person;
  purpose: Purpose;
  /** Absent while a token is asked for. */
  runId?: string | undefined;
  tokenId?: string | undefined;
  /** Whether the token is, or is to be, bound to a key that the client proves to hold. */
  bound: boolean;
  /** What the token gives up of the grant. */
  narrowing: Narrowing | null;
  /** Those in force. A list, not an iterator: a decision looks through it more than once. */
  orders: readonly Order[];
  configured: Configured;
}

/** Facts about one request. `model` and `endpoint` are absent for operations that name none. */
export interface AccessFacts extends IssueFacts {
  operation: Operation;
  endpoint?: string | undefined;
  model?: string | undefined;
  /** The address the request came from. */
  address: string;
  /** Features that it uses, and the safeguards that what it goes to puts back. */
  features?: readonly string[] | undefined;
  restored?: readonly string[] | undefined;
}

type RequestParts = Pick<OrderSubject, 'endpoint' | 'model' | 'features' | 'address'>;

/** What orders are held against. All are of one form, which makes hundreds of comparisons quicker. */
const subjectOf = (
  { lab, person, purpose, runId, tokenId }: IssueFacts,
  grantId: string,
  { endpoint, model, features, address }: RequestParts = {},
): OrderSubject => ({
  grantId,
  labId: lab.id,
  person,
  purpose,
  runId,
  tokenId,
  endpoint,
  model,
  features,
  address,
});

export type Decision = { allowed: true; until: number } | { allowed: false; refusal: Refusal };

const denied = (why: Refusal): Decision => ({ allowed: false, refusal: why });

/**
 * Decides whether a person may be given a token for a grant, a purpose and a run, and until when at most.
 *
 * @param now epoch milliseconds
 */
export function decideIssue(facts: IssueFacts, now: number): Decision {
  const held = decideHeld(facts, now);
  const { grant, person } = facts;
  if (!held.allowed || grant?.acceptedBy.includes(person.id)) return held;
  const accept = `Accept the terms of the grant first: "sallyport grant accept ${grant?.id}".`;
  return denied(refusal('terms_not_accepted', accept));
}

/**
 * Decides whether a token that was issued is good for anything. Its person had accepted the terms of then; new ones are
 * asked for with the next token.
 *
 * @param now epoch milliseconds
 */
export function decideHeld(facts: IssueFacts, now: number): Decision {
  const { grant, lab, person, purpose, orders, configured } = facts;
  if (person.removedAt !== null) return denied(refusal('person_removed'));
  // A grant of another lab looks like one that does not exist.
  if (!grant || grant.spec.lab !== lab.id || lab.kind !== 'partner')
    return denied(refusal('grant_unknown'));
  if (grant.leavers.includes(person.id)) return denied(refusal('access_handed_back'));
  const place = placeOf(grant, person.id);
  if (!place) {
    const taken = grant.takenOff.includes(person.id)
      ? 'Your lead has taken you off the roster of this grant.'
      : undefined;
    return denied(refusal('person_not_on_grant', taken));
  }
  const standing = grantStanding(grant, orders, now, configured);
  if (standing.refusal) return denied(standing.refusal);
  if (now >= place.until)
    return denied(
      refusal('person_not_on_grant', 'Your place on the roster of this grant has ended.'),
    );
  const [lacking] = unmet(grant.spec.requires, person, now);
  if (lacking) return denied(refusalOfLacking(lacking));
  if (
    !grant.spec.purposes.allowed.includes(purpose) ||
    grant.spec.purposes.excluded.includes(purpose)
  ) {
    return denied(
      refusal(
        'purpose_not_granted',
        `The grant does not allow the purpose "${purpose}". It allows: ${grant.spec.purposes.allowed.join(', ')}.`,
      ),
    );
  }
  const never = refusalOfPurpose(purpose, configured.excluded);
  if (never) return denied(never);
  const stopped = refusalByOrders(orders, subjectOf(facts, grant.id), now);
  if (stopped) return denied(stopped);
  if (grant.spec.binding === 'dpop' && !facts.bound) return denied(refusal('dpop_required'));
  // Of the whole grant, its standing has said so already.
  if (facts.narrowing?.models) {
    const inForce = modelsInForce({ ...facts, grant }, now);
    if (inForce.models.length === 0) return denied(inForce.stopped ?? refusal('model_not_granted'));
  }
  return { allowed: true, until: Math.min(place.until, endOfHeld(grant, person)) };
}

/** When what a person holds under a grant ends by itself, whatever their place says; epoch milliseconds. */
const endOfHeld = ({ spec, reviewDueAt }: Grant, person: Person): number =>
  Math.min(
    Date.parse(spec.window.until),
    reviewDueAt ?? Infinity,
    requirementsEnd(spec.requires, person),
  );

function refusalOfLacking({ name, is }: { name: string; is?: string[] | undefined }): Refusal {
  const which = is ? `"${name}" to be ${is.join(' or ')}` : `"${name}" to be known`;
  return refusal(
    'attribute_required',
    `The grant requires the attribute ${which}, and of you it is not, or not any more. Your lead or an admin of the host lab sets it ("sallyport person set-attributes").`,
  );
}

/**
 * The models that a token gives access to at this moment: what grant and token cover, less what is never granted and
 * what orders stop. `stopped` is why the first of those is.
 */
export function modelsInForce(
  facts: Omit<IssueFacts, 'grant'> & { grant: Grant },
  now: number,
): { models: string[]; stopped: Refusal | null } {
  let stopped: Refusal | null = null;
  const { grant, narrowing, orders, configured } = facts;
  const models = scopeOf(grant.spec, narrowing)
    .endpoints.flatMap(({ endpoint, models: names }) => names.map((model) => ({ endpoint, model })))
    .filter((one) => {
      const why =
        refusalOfModel(one.endpoint, one.model, configured.excluded) ??
        refusalOfModelByOrders(
          orders,
          { ...subjectOf(facts, grant.id, one), ...one },
          now,
          configured,
        );
      stopped ??= why;
      return why === null;
    })
    .map(({ model }) => model);
  return { models, stopped };
}

/** The features that a token gives at this moment: those that its scope has, less what orders pause. */
export function featuresInForce(
  facts: Omit<IssueFacts, 'grant'> & { grant: Grant },
  features: Features,
  now: number,
): Features {
  const paused = effectOf(facts.orders, subjectOf(facts, facts.grant.id), now).features;
  if (paused.size === 0) return features;
  const off = Object.fromEntries([...paused.keys()].map((name) => [name, false]));
  return { ...features, ...off };
}

/**
 * Decides one request, from everything that can refuse it but its content (scope.ts) and what it costs
 * (limits.ts). The same call, repeated at every change of policy, decides whether a live stream goes on.
 *
 * @param now epoch milliseconds
 * @returns allowed, and the moment until which it is so if nothing else changes
 */
export function decideAccess(facts: AccessFacts, now: number): Decision {
  const held = decideHeld(facts, now);
  // Where orders stop all of a grant between them, a request is told of those that stop it.
  if (!held.allowed) {
    const own = facts.grant && held.refusal.orders?.length ? refusalOfRequest(facts, now) : null;
    return own ? denied(own) : held;
  }
  const { spec } = facts.grant as Grant;
  if (spec.networks && !isInNetworks(facts.address, spec.networks))
    return denied(refusal('network_not_allowed'));
  const scope = scopeOf(spec, facts.narrowing);
  if (!scope.operations.includes(facts.operation)) {
    const who = spec.operations.includes(facts.operation) ? 'token' : 'grant';
    return denied(
      refusal(
        'operation_not_granted',
        `The ${who} does not allow "${facts.operation}". It allows: ${scope.operations.join(', ')}.`,
      ),
    );
  }
  if (facts.model !== undefined) {
    const { endpoint, model } = facts;
    const covers = ({ endpoints }: Scope): boolean =>
      endpoints.some((entry) => entry.endpoint === endpoint && entry.models.includes(model));
    if (!covers(scope)) {
      const why = covers(spec) ? 'The token does not cover this model.' : undefined;
      return denied(refusal('model_not_granted', why));
    }
    const never = refusalOfModel(endpoint ?? '', model, facts.configured.excluded);
    if (never) return denied(never);
  }
  const stopped = refusalOfRequest(facts, now);
  return stopped ? denied(stopped) : held;
}

/** What orders say of a request as a whole. */
function refusalOfRequest(facts: AccessFacts, now: number): Refusal | null {
  if (facts.orders.length === 0) return null;
  const subject = subjectOf(facts, (facts.grant as Grant).id, facts);
  const effect = effectOf(facts.orders, subject, now);
  return (
    refusalByEffect(effect, subject) ??
    (facts.model === undefined ? null : refusalOfLifted(effect, facts.restored ?? []))
  );
}
