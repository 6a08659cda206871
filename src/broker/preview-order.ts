/**
 * What an order would do before it is issued: the decisions that are made on every request, made once more with the order
 * among those in force. So what is previewed is what is stopped.
 */
import { decideIssue, grantStanding, modelsInForce, type IssueFacts } from '../core/access.ts';
import type { Grant } from '../core/grants.ts';
import { grantedModels, rosterOf } from '../core/grants.ts';
import { selects } from '../core/orders/selector.ts';
import { LEVEL, missingOf, type Order, type OrderSpec } from '../core/orders/order.ts';
import { narrowerOrders, type Finding, type NarrowerOrder } from '../core/orders/narrower.ts';
import { bandOf, suggestedLevel, type Band } from '../core/orders/severity.ts';
import type { Person } from '../core/people.ts';
import { SWITCHES, type Switch } from '../core/vocabulary.ts';
import type { LiveToken } from '../store/context.ts';
import type { Broker } from './broker.ts';
import { mayRead } from './reach.ts';
import { mustHaveReach } from './order-reach.ts';
import { warningFor } from './order-warning.ts';

/** What an order touches, of what has access without it. */
export interface Touched {
  /** Grants under which nothing passes any more. */
  grants: string[];
  labs: string[];
  /** People who have no access left under a grant, and those who keep a part. */
  people: { personId: string; grantId: string; labId: string; keepsPart: boolean }[];
  tokens: { tokenId: string; personId: string; grantId: string; runId: string | null }[];
  runs: string[];
  /** Requests in flight. */
  live: { requestId: string; personId: string; grantId: string; stream: boolean }[];
}

/** How much of what has access now keeps it whole. */
export interface Staying {
  grants: number;
  people: number;
  tokens: number;
  live: number;
}

export interface OrderPreview {
  stops: Touched;
  stays: Staying;
  /** Whether nothing at all would be left. */
  stopsEverything: boolean;
  warning: string | undefined;
  missing: ReturnType<typeof missingOf>;
  /** What the severity speaks for; null where it was not said. */
  suggested: { band: Band; level: number } | null;
  narrower: (NarrowerOrder & Staying)[];
}

/** @throws RefusedError */
export async function previewOrder(
  broker: Broker,
  actorId: string,
  spec: OrderSpec,
  finding: Finding | undefined,
): Promise<OrderPreview> {
  await mustHaveReach(broker, actorId, 'order.preview');
  const { bounds } = mayRead(broker, actorId, 'order.preview');
  const { stops, stays } = touchedBy(broker, spec, bounds.labId);
  const { severity } = spec;
  return {
    stops,
    stays,
    stopsEverything: stays.grants === 0 && stops.grants.length > 0,
    warning: warningFor(broker, spec),
    missing: missingOf(spec),
    suggested: severity ? { band: bandOf(severity), level: suggestedLevel(severity) } : null,
    narrower: narrowerOrders(spec, finding, [...broker.endpoints.values()]).map((one) => ({
      ...one,
      ...touchedBy(broker, { ...spec, ...one }, bounds.labId).stays,
    })),
  };
}

/**
 * What an order would touch, and how much would stay as it is.
 *
 * @param only a lab whose people are told of nobody else's
 */
export function touchedBy(
  broker: Broker,
  spec: OrderSpec,
  only?: string,
): { stops: Touched; stays: Staying } {
  const { policy, clock } = broker;
  const { excluded } = broker.grantSettings;
  const now = clock();
  const without = policy.orders;
  const order = hypothetical(broker, spec, now);
  const orders = [...without, order];
  const stops: Touched = { grants: [], labs: [], people: [], tokens: [], runs: [], live: [] };
  const stays: Staying = { grants: 0, people: 0, tokens: 0, live: 0 };
  const labs = new Set<string>();
  const runs = new Set<string>();
  for (const grant of policy.grants()) {
    if (only !== undefined && grant.spec.lab !== only) continue;
    if (grantStanding(grant, without, now, excluded).refusal) continue;
    const whole = grantStanding(grant, orders, now, excluded).refusal !== null;
    if (whole) stops.grants.push(grant.id);
    else stays.grants += 1;
    for (const { personId } of rosterOf(grant)) {
      const left = accessLeft(broker, grant, personId, { without, orders, order, whole }, now);
      if (left === 'none before') continue;
      if (left === 'all') {
        stays.people += 1;
        continue;
      }
      labs.add(grant.spec.lab);
      const labId = grant.spec.lab;
      stops.people.push({ personId, grantId: grant.id, labId, keepsPart: left === 'part' });
    }
    if (whole) labs.add(grant.spec.lab);
  }
  for (const token of policy.tokens()) {
    const facts = factsOfToken(broker, token, now);
    if (!facts || (only !== undefined && facts.lab.id !== only)) continue;
    if (!passes({ ...facts, orders: without }, now)) continue;
    if (passes({ ...facts, orders }, now)) {
      stays.tokens += 1;
      continue;
    }
    const { id, personId, grantId, runId } = token;
    stops.tokens.push({ tokenId: id, personId, grantId: grantId ?? '', runId });
    if (runId !== null) runs.add(runId);
    labs.add(facts.lab.id);
  }
  for (const request of broker.live.all()) {
    const { requestId, personId, grantId, stream } = request;
    if (only !== undefined && policy.person(personId)?.labId !== only) continue;
    if (request.decide(now, orders).allowed) stays.live += 1;
    else stops.live.push({ requestId, personId, grantId, stream });
  }
  return { stops: { ...stops, labs: [...labs], runs: [...runs] }, stays };
}

/** The order as it would stand among the others. */
function hypothetical({ policy }: Broker, spec: OrderSpec, now: number): Order {
  return {
    ...spec,
    id: 'ord_preview',
    safeguardAt: policy.safeguardAt(spec.selector),
    issuedBy: '',
    issuedByLab: '',
    issuedAt: now,
    ratifiedBy: null,
    ratifiedAt: null,
    lapsesAt: null,
    reviewDueAt: null,
    lapsesUnreviewed: false,
    replaces: null,
    loweredBy: null,
    endedAt: null,
    endedBy: null,
    endedBecause: null,
    endGrounds: null,
  };
}

interface Compared {
  without: readonly Order[];
  orders: readonly Order[];
  order: Order;
  whole: boolean;
}

/** How much of their access somebody would keep under a grant. */
function accessLeft(
  { policy, grantSettings }: Broker,
  grant: Grant,
  personId: string,
  { without, orders, order, whole }: Compared,
  now: number,
): 'none before' | 'none' | 'part' | 'all' {
  const member = policy.member(personId);
  if (!member) return 'none before';
  const { spec } = grant;
  const facts = (purpose: IssueFacts['purpose'], some: readonly Order[]): IssueFacts => ({
    ...member,
    grant,
    purpose,
    // What they could have, whatever token they hold.
    bound: true,
    narrowing: null,
    orders: some,
    excluded: grantSettings.excluded,
  });
  const openModels = (purpose: IssueFacts['purpose'], some: readonly Order[]): number => {
    const asked = facts(purpose, some);
    if (!decideIssue(asked, now).allowed) return 0;
    return modelsInForce({ ...asked, grant }, now).models.length;
  };
  const { allowed } = spec.purposes;
  const hasAccess = allowed.some((purpose) => openModels(purpose, without) > 0);
  if (!hasAccess) return 'none before';
  if (whole) return 'none';
  if (order.level < LEVEL.constrain || !mayTouch(order, grant, member.person)) return 'all';
  return allowed.some((purpose) => openModels(purpose, orders) > 0) ? 'part' : 'none';
}

/** Whether any request of a person under a grant can be one that an order is about. Where it came from is not known yet. */
function mayTouch({ selector, safeguardAt }: Order, grant: Grant, person: Person): boolean {
  if ('all' in selector) return true;
  const { network: _, ...parts } = selector;
  const { id: grantId, spec } = grant;
  const { lab: labId, purposes } = spec;
  const features = (Object.keys(SWITCHES) as Switch[]).filter((name) => spec.features[name]);
  return grantedModels(spec).some((model) =>
    purposes.allowed.some((purpose) =>
      selects(
        { selector: parts, safeguardAt },
        { grantId, labId, person, ...model, purpose, features },
      ),
    ),
  );
}

/** The facts of a token of the gateway that is live. */
function factsOfToken(
  { policy, grantSettings }: Broker,
  token: LiveToken,
  now: number,
): IssueFacts | undefined {
  const { grantId, purpose, revokedAt, expiresAt, personId, runId, id, jkt, narrowing } = token;
  if (grantId === null || purpose === null || revokedAt !== null || expiresAt <= now)
    return undefined;
  const member = policy.member(personId);
  if (!member) return undefined;
  return {
    ...member,
    grant: policy.grant(grantId),
    purpose,
    runId: runId ?? undefined,
    tokenId: id,
    bound: jkt !== null,
    narrowing,
    orders: policy.orders,
    excluded: grantSettings.excluded,
  };
}

/** Whether a token opens anything. */
function passes(facts: IssueFacts, now: number): boolean {
  if (!decideIssue(facts, now).allowed || !facts.grant) return false;
  return modelsInForce({ ...facts, grant: facts.grant }, now).models.length > 0;
}
