/**
 * Who and what an order would touch: the decisions that are made on every request, made once more with the order among those
 * in force. So what is previewed is what is stopped.
 */
import {
  decideHeld,
  decideIssue,
  grantStanding,
  modelsInForce,
  type IssueFacts,
} from '../core/access.ts';
import type { Grant } from '../core/grants.ts';
import { grantedModels, rosterOf } from '../core/grants.ts';
import { JUST_ISSUED, LEVEL, type Order, type OrderSpec } from '../core/orders/order.ts';
import { partsOf, selects, type Selector } from '../core/orders/selector.ts';
import type { Member } from '../core/people.ts';
import { switchesOn } from '../core/vocabulary.ts';
import { Turns } from '../lib/turns.ts';
import type { LiveToken } from '../store/context.ts';
import type { Broker } from './broker.ts';

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

/** What access is looked up in. */
type Facts = Pick<Broker, 'policy' | 'clock' | 'configured' | 'live'>;

/** Everything that has access at a moment, and the orders in force then. */
export interface AccessNow {
  facts: Facts;
  now: number;
  orders: readonly Order[];
  grants: { grant: Grant; people: Member[] }[];
  tokens: { token: LiveToken; asked: AskedUnder }[];
  /** A lab whose people are told of nobody else's. */
  only: string | undefined;
}

/**
 * Looks up everything that has access. It takes its turns with everybody else; what changes meanwhile counts as it is when
 * its turn comes.
 *
 * @param only a lab whose people are told of nobody else's
 */
export async function accessNow(facts: Facts, only?: string): Promise<AccessNow> {
  const { policy, clock } = facts;
  const now = clock();
  const { orders } = policy;
  const access: AccessNow = { facts, now, orders, grants: [], tokens: [], only };
  const turns = new Turns();
  // Of lists of this moment: those of the policy change while others have their turn.
  const grants = [...policy.grants()];
  const tokens = [...policy.tokens()];
  for (const grant of grants) {
    if (only !== undefined && grant.spec.lab !== only) continue;
    if (grantStanding(grant, orders, now, facts.configured).refusal) continue;
    const people: Member[] = [];
    access.grants.push({ grant, people });
    for (const { personId } of rosterOf(grant)) {
      const member = policy.member(personId);
      if (member && hasAccess(access, grant, member, orders)) people.push(member);
      if (turns.isOver) await turns.next();
    }
  }
  for (const token of tokens) {
    const asked = factsOfToken(facts, token, now);
    if (asked && (only === undefined || asked.lab.id === only) && isGood({ ...asked, orders }, now))
      access.tokens.push({ token, asked });
    if (turns.isOver) await turns.next();
  }
  return access;
}

/** What an order would touch of what has access, and how much would stay as it is. It takes its turns, too. */
export async function touchedBy(
  access: AccessNow,
  spec: OrderSpec,
): Promise<{ stops: Touched; stays: Staying }> {
  const { facts, now } = access;
  const order = hypothetical(facts, spec, now);
  const orders = [...access.orders, order];
  const stops: Touched = { grants: [], labs: [], people: [], tokens: [], runs: [], live: [] };
  const stays: Staying = { grants: 0, people: 0, tokens: 0, live: 0 };
  if (stopsNothing(order)) return { stops, stays: allOf(access) };
  const labs = new Set<string>();
  const runs = new Set<string>();
  const turns = new Turns();
  for (const { grant, people } of access.grants) {
    const labId = grant.spec.lab;
    const isWhole = isStopped(access, grant, orders);
    if (isWhole) {
      stops.grants.push(grant.id);
      labs.add(labId);
    } else stays.grants += 1;
    const mayTouch = isWhole ? () => true : touching(order, grant);
    for (const member of people) {
      if (turns.isOver) await turns.next();
      if (!mayTouch(member)) {
        stays.people += 1;
        continue;
      }
      labs.add(labId);
      const keepsPart = !isWhole && hasAccess(access, grant, member, orders);
      stops.people.push({ personId: member.person.id, grantId: grant.id, labId, keepsPart });
    }
  }
  for (const { token, asked } of access.tokens) {
    if (turns.isOver) await turns.next();
    if (isGood({ ...asked, orders }, now)) {
      stays.tokens += 1;
      continue;
    }
    const { id, personId, grantId, runId } = token;
    stops.tokens.push({ tokenId: id, personId, grantId: grantId ?? '', runId });
    if (runId !== null) runs.add(runId);
    labs.add(asked.lab.id);
  }
  const live = [...facts.live.all()];
  for (const request of live) {
    if (turns.isOver) await turns.next();
    const { requestId, personId, grantId, stream, cancellation } = request;
    const { only } = access;
    if (only !== undefined && facts.policy.person(personId)?.labId !== only) continue;
    if (cancellation.isCancelled) continue;
    if (request.decide(now, orders).allowed) stays.live += 1;
    else stops.live.push({ requestId, personId, grantId, stream });
  }
  return { stops: { ...stops, labs: [...labs], runs: [...runs] }, stays };
}

/**
 * Whether an order would leave nobody any access. Whoever names one person, lab or grant, and stops that, has said what
 * they mean: of them, it is asked about more than one grant.
 *
 * @param only a lab whose people are told of nobody else's
 */
export async function leavesNothing(
  facts: Facts,
  spec: OrderSpec,
  only?: string,
): Promise<boolean> {
  const now = facts.clock();
  const { orders } = facts.policy;
  const order = hypothetical(facts, spec, now);
  const more = [...orders, order];
  const access = { facts, now };
  const turns = new Turns();
  const stopped = { grants: 0, people: 0 };
  // As of this moment: they change while others have their turn.
  const grants = [...facts.policy.grants()];
  for (const grant of grants) {
    if (only !== undefined && grant.spec.lab !== only) continue;
    if (grantStanding(grant, orders, now, facts.configured).refusal) continue;
    const isWhole = grantStanding(grant, more, now, facts.configured).refusal !== null;
    const mayTouch = isWhole ? () => true : touching(order, grant);
    let people = 0;
    for (const { personId } of rosterOf(grant)) {
      const member = facts.policy.member(personId);
      if (turns.isOver) await turns.next();
      if (!member || !hasAccess(access, grant, member, orders)) continue;
      if (!mayTouch(member) || (!isWhole && hasAccess(access, grant, member, more))) return false;
      people += 1;
    }
    if (people > 0) stopped.grants += 1;
    stopped.people += people;
  }
  const { person, lab, grant } = partsOf(spec.selector);
  const isMeant = [person, lab, grant].some((part) => part !== undefined);
  return stopped.grants > 1 || (!isMeant && stopped.people > 1);
}

/** Whether an order is about anything that somebody may do under a grant that is in force. */
export function reaches({ policy }: Pick<Facts, 'policy'>, spec: OrderSpec, grant: Grant): boolean {
  if (grant.state !== 'active' || grant.endedAt !== null) return false;
  if ('all' in spec.selector) return true;
  // Of runs and tokens, whether they are there is looked at by themselves.
  const { run: _, token: __, ...parts } = spec.selector;
  const safeguardAt = policy.safeguardAt(spec.selector);
  const isTouched = touching({ level: LEVEL.suspend, selector: parts, safeguardAt }, grant);
  return rosterOf(grant).some(({ personId }) => {
    const member = policy.member(personId);
    return member !== undefined && member.person.removedAt === null && isTouched(member);
  });
}

/** The order as it would stand among the others. */
function hypothetical({ policy }: Pick<Broker, 'policy'>, spec: OrderSpec, now: number): Order {
  return {
    ...spec,
    selector: withoutWorld(spec.selector),
    id: 'ord_preview',
    safeguardAt: policy.safeguardAt(spec.selector),
    issuedBy: '',
    issuedByLab: '',
    issuedAs: 'issuer',
    issuedAt: now,
    lapsesAt: null,
    reviewDueAt: null,
    lapsesUnreviewed: false,
    ...JUST_ISSUED,
  };
}

/** An order that watches, or makes limits less, stops nobody as such. */
const stopsNothing = ({ level, measures }: Order): boolean =>
  level < LEVEL.constrain ||
  (level === LEVEL.constrain && !measures.features && !measures.purposes && !measures.putBack);

function allOf({ facts, grants, tokens, only }: AccessNow): Staying {
  const live = [...facts.live.all()].filter(
    ({ personId, cancellation }) =>
      !cancellation.isCancelled &&
      (only === undefined || facts.policy.person(personId)?.labId === only),
  );
  const people = grants.reduce((sum, one) => sum + one.people.length, 0);
  return { grants: grants.length, people, tokens: tokens.length, live: live.length };
}

/** A network that holds every address of a kind narrows nothing. */
function withoutWorld(selector: Selector): Selector {
  if ('all' in selector || !selector.network?.endsWith('/0')) return selector;
  const { network: _, ...parts } = selector;
  return Object.values(parts).some((part) => part !== undefined) ? parts : { all: true };
}

const isStopped = (
  { facts: { configured }, now }: AccessNow,
  grant: Grant,
  orders: readonly Order[],
): boolean => grantStanding(grant, orders, now, configured).refusal !== null;

/** Whether anything is open to somebody under a grant, whatever token they hold. */
function hasAccess(
  { facts, now }: Pick<AccessNow, 'facts' | 'now'>,
  grant: Grant,
  { person, lab }: Member,
  orders: readonly Order[],
): boolean {
  const { configured } = facts;
  const bound = true;
  return grant.spec.purposes.allowed.some((purpose) => {
    const under = { grant, purpose, bound, narrowing: null };
    const asked = { person, lab, ...under, orders, configured };
    return decideIssue(asked, now).allowed && opensModels(asked, now);
  });
}

const NOBODY = (): boolean => false;

/**
 * Whether any request of somebody under a grant can be one that an order is about. Where it came from is not known yet. An
 * order about a run or a token is about nobody as such.
 */
function touching(
  { selector, safeguardAt, level }: Pick<Order, 'selector' | 'safeguardAt' | 'level'>,
  { id: grantId, spec }: Grant,
): (member: Member) => boolean {
  if (level < LEVEL.constrain) return NOBODY;
  if ('all' in selector) return () => true;
  const { network: _, person, attributes, ...others } = selector;
  const { lab: labId, purposes } = spec;
  const features = switchesOn(spec.features);
  const isAbout = grantedModels(spec).some((model) =>
    purposes.allowed.some((purpose) =>
      selects({ selector: others, safeguardAt }, { grantId, labId, ...model, purpose, features }),
    ),
  );
  if (!isAbout) return NOBODY;
  const who = { selector: { person, attributes }, safeguardAt: null };
  return (member) => selects(who, { grantId, labId, person: member.person });
}

/** What is asked under a grant. */
type AskedUnder = IssueFacts & { grant: Grant };

/** The facts of a token of the gateway that is live. */
function factsOfToken(
  { policy, configured }: Facts,
  token: LiveToken,
  now: number,
): AskedUnder | undefined {
  const { grantId, purpose, revokedAt, expiresAt, personId, runId, id, jkt, narrowing } = token;
  if (grantId === null || purpose === null || revokedAt !== null || expiresAt <= now)
    return undefined;
  const member = policy.member(personId);
  const grant = policy.grant(grantId);
  if (!member || !grant) return undefined;
  return {
    ...member,
    grant,
    purpose,
    runId: runId ?? undefined,
    tokenId: id,
    bound: jkt !== null,
    narrowing,
    orders: policy.orders,
    configured,
  };
}

/** Whether a token opens anything. Terms that are new by now are asked for with the next one. */
const isGood = (asked: AskedUnder, now: number): boolean =>
  decideHeld(asked, now).allowed && opensModels(asked, now);

const opensModels = (asked: AskedUnder, now: number): boolean =>
  modelsInForce(asked, now).models.length > 0;
