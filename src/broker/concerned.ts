/** Whom an order concerns: who may see it, and who is told. */
import type { Grant } from '../core/grants.ts';
import { rosterOf } from '../core/grants.ts';
import { LEVEL, type Order } from '../core/orders/order.ts';
import { partsOf, selects, type SelectorPart } from '../core/orders/selector.ts';
import type { Concerned } from '../store/operations/order-parts.ts';
import type { Recalled } from '../store/operations/orders.ts';
import type { Broker } from './broker.ts';

type About = Pick<Order, 'selector' | 'issuedByLab'> & {
  /** Epoch milliseconds; absent while it is being issued. */
  issuedAt?: number | undefined;
};

/**
 * Whether an order is about anything that a lab has or was granted. What a partner orders is about its own people, or is a
 * notice to the host: no other partner hears of it.
 */
export function touchesLab(broker: Broker, order: About, labId: string): boolean {
  const { policy, readers } = broker;
  if (policy.lab(order.issuedByLab)?.kind === 'partner') return order.issuedByLab === labId;
  const { lab, person, token, run } = partsOf(order.selector);
  if (lab !== undefined && lab !== labId) return false;
  if (person !== undefined && policy.person(person)?.labId !== labId) return false;
  if (token !== undefined && readers.labOfToken(token) !== labId) return false;
  if (run !== undefined && readers.labOfRun(run) !== labId) return false;
  // What names a lab, a person, a token or a run of theirs concerns them, whatever they were granted.
  if ([lab, person, token, run].some((part) => part !== undefined)) return true;
  const since = order.issuedAt ?? broker.clock();
  return policy
    .grantsOf(labId)
    .some((grant) => wasInForce(grant, since) && touchesGrant(broker, order, grant));
}

/** Whether a grant was in force at a moment, or after it: what was only asked for gives nobody a part in anything. */
function wasInForce({ state, spec, updatedAt, endedAt }: Grant, since: number): boolean {
  const until = Math.min(Date.parse(spec.window.until), endedAt ?? Infinity);
  if (state === 'active') return until > since;
  return (state === 'revoked' || state === 'closed') && Math.min(until, updatedAt) > since;
}

function touchesGrant(
  { policy }: Broker,
  { selector }: About,
  { id, spec, ...rest }: Grant,
): boolean {
  const { grant, endpoint, model, purpose, feature, attributes } = partsOf(selector);
  if (grant !== undefined && grant !== id) return false;
  if (feature !== undefined && !spec.features[feature]) return false;
  if (purpose !== undefined && !spec.purposes.allowed.includes(purpose)) return false;
  const safeguardAt = policy.safeguardAt(selector);
  const isCovered = spec.endpoints.some(
    (entry) =>
      (endpoint === undefined || entry.endpoint === endpoint) &&
      (model === undefined || entry.models.includes(model)) &&
      (safeguardAt === null || safeguardAt.includes(entry.endpoint)),
  );
  if (!isCovered || attributes === undefined) return isCovered;
  const who = { selector: { attributes }, safeguardAt: null };
  return rosterOf({ spec, ...rest }).some(({ personId }) =>
    selects(who, { grantId: id, labId: spec.lab, person: policy.person(personId) }),
  );
}

/** With more people than these, their labs tell them: an order must not wait for its notices to be written. */
const MOST_TOLD = 200;

/** The partner labs that an order touches, the person whom it names, and those of whom its attributes hold. */
export function concernedBy(broker: Broker, order: About): Concerned {
  const { policy } = broker;
  const labs: Concerned = [...policy.labs()]
    .filter(({ id, kind }) => kind === 'partner' && touchesLab(broker, order, id))
    .map(({ id }) => ({ labId: id }));
  const people = peopleOf(broker, order, new Set(labs.map(({ labId }) => labId)));
  return people.length > MOST_TOLD ? labs : [...labs, ...people];
}

function peopleOf(
  { policy }: Broker,
  { selector }: About,
  labs: ReadonlySet<string>,
): { labId: string; personId: string }[] {
  const { person, attributes, grant: grantId } = partsOf(selector);
  if (person !== undefined) {
    const named = policy.person(person);
    return named && labs.has(named.labId) ? [{ labId: named.labId, personId: named.id }] : [];
  }
  if (attributes === undefined) return [];
  const who = { selector: { attributes }, safeguardAt: null };
  const found = new Map<string, string>();
  for (const grant of policy.grants()) {
    const labId = grant.spec.lab;
    if (!labs.has(labId) || (grantId !== undefined && grantId !== grant.id)) continue;
    for (const { personId } of rosterOf(grant)) {
      const one = policy.person(personId);
      if (one?.removedAt === null && selects(who, { grantId: grant.id, labId, person: one }))
        found.set(personId, labId);
    }
  }
  return [...found].map(([personId, labId]) => ({ labId, personId }));
}

/** Parts of a selector that are no access as a whole: what is recalled there leaves the grant standing, and its tokens. */
const IN_PART: readonly SelectorPart[] = ['purpose', 'run', 'feature', 'network', 'token'];

/**
 * Of which grants the duties begin, should an order recall: those in force that it reaches; where it is about people, for
 * each of them alone. None for an order of another level, or one about a part of what people may do.
 */
export function recalledBy(broker: Broker, order: About & Pick<Order, 'level'>): Recalled {
  const { policy } = broker;
  const { selector } = order;
  const { lab, person, attributes, ...rest } = partsOf(selector);
  if (order.level !== LEVEL.recall) return [];
  if (IN_PART.some((part) => rest[part as keyof typeof rest] !== undefined)) return [];
  const people = { selector: { person, attributes }, safeguardAt: null };
  return [...policy.grants()]
    .filter(({ state, endedAt, spec }) => {
      const isRunning = state === 'active' && endedAt === null;
      return isRunning && (lab === undefined || spec.lab === lab);
    })
    .filter((grant) => touchesGrant(broker, order, grant))
    .flatMap((grant) => {
      if (person === undefined && attributes === undefined) return [{ grantId: grant.id }];
      return rosterOf(grant)
        .map(({ personId }) => policy.person(personId))
        .filter((one) => one?.removedAt === null)
        .filter((one) => selects(people, { grantId: grant.id, labId: grant.spec.lab, person: one }))
        .map((one) => ({ grantId: grant.id, personId: one?.id }));
    });
}
