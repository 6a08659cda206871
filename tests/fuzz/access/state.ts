/**
 * The model: what is, as somebody would keep it on paper who has read the design and not the code. It shares types with the
 * code under test, and no decision.
 */
import type { GrantSpec, GrantState } from '../../../src/core/grants.ts';
import type { Measures } from '../../../src/core/orders/order.ts';
import type { Selector, SelectorParts } from '../../../src/core/orders/selector.ts';
import type { LabKind, Role } from '../../../src/core/people.ts';
import type { Purpose } from '../../../src/core/vocabulary.ts';
import type { TestPerson } from '../../support/people.ts';

export interface ModelPerson {
  id: string;
  lab: string;
  kind: LabKind;
  roles: readonly Role[];
  attributes: Record<string, string>;
  /** When some of them end. */
  attributesUntil: Record<string, number>;
  removed: boolean;
  /** With the private halves: they sign for tokens. */
  keys: Pick<TestPerson, 'privateKey' | 'kid'>[];
}

/** A text of a grant with who stands behind it. */
export interface ModelText {
  spec: GrantSpec;
  authors: ReadonlySet<string>;
  /** Who approved it, by the role that they filled. */
  approvals: Map<Role, string>;
  /** What it needs, in the order of the policy; null: it was never submitted. */
  needed: readonly Role[] | null;
}

type NextState = 'draft' | 'submitted' | 'returned' | 'approved';

export interface ModelGrant {
  id: string;
  lab: string;
  state: GrantState;
  text: ModelText;
  /** The version that is to follow. */
  next: (ModelText & { state: NextState }) | null;
  /** Who accepted terms, by their text. */
  accepted: Map<string, Set<string>>;
  joined: Map<string, number>;
  left: Set<string>;
  /** Taken off by the lead, who can put them back. */
  off: Set<string>;
  /** When the next review is due; Infinity: none is. */
  reviewDue: number;
}

export interface ModelOrder {
  id: string;
  level: number;
  selector: Selector;
  measures: Measures;
  legal: boolean;
  by: string;
  byLab: string;
  /** Of two who have to act, the part that whoever issued it had, with the roles of then. */
  part: 'first' | 'second';
  /** Somebody else has made it stand, or it needs nobody. */
  stands: boolean;
  /** When it ends by itself: unratified; as it says; unreviewed. Infinity: never. */
  lapses: number;
  expires: number;
  unreviewed: number;
  /** Asked for when it was issued; it holds for the first review. */
  reviewAt: number;
  /** Ended by somebody. */
  ended: boolean;
}

export interface ModelDispute {
  id: string;
  order: string;
  person: string;
  /** What is proposed instead. */
  alternative: { level?: number; selector?: Selector; measures?: Measures } | null;
  decided: boolean;
}

export interface ModelToken {
  id: string;
  person: string;
  grant: string;
  purpose: Purpose;
  kid: string;
  run: string;
  runName: string;
  expires: number;
  ended: boolean;
}

interface ModelInvitation {
  id: string;
  secret: string;
  lab: string;
  grant: string | null;
}

export interface Model {
  now: number;
  hostLab: string;
  labs: { id: string; kind: LabKind }[];
  people: ModelPerson[];
  grants: ModelGrant[];
  orders: ModelOrder[];
  disputes: ModelDispute[];
  tokens: ModelToken[];
  /** Runs that were ended: they take no token any more. */
  endedRuns: Set<string>;
  invitations: ModelInvitation[];
}

export const partsOf = (selector: Selector): SelectorParts => ('all' in selector ? {} : selector);

export const personOf = ({ people }: Model, id: string): ModelPerson | undefined =>
  people.find((person) => person.id === id);

/** Lab and role, as rules name people. */
export const offices = ({ kind, roles }: ModelPerson): string[] =>
  roles.map((role) => `${kind}.${role}`);

export const isOneOf = (person: ModelPerson, ...wanted: string[]): boolean =>
  offices(person).some((office) => wanted.includes(office));

/** When each place of a grant's roster ends. */
export function placesOf(
  grant: Pick<ModelGrant, 'joined' | 'left' | 'off'>,
  spec: GrantSpec,
): Map<string, number> {
  const named = new Map(
    spec.people.map(({ person, until }) => [person, until ? Date.parse(until) : Infinity]),
  );
  const places = new Map<string, number>();
  for (const id of new Set([...named.keys(), ...grant.joined.keys()])) {
    if (grant.left.has(id) || grant.off.has(id)) continue;
    places.set(id, Math.min(named.get(id) ?? Infinity, grant.joined.get(id) ?? Infinity));
  }
  return places;
}

/** How many of these places are taken: of people who are there, and whose time is not over. */
export function taken(model: Model, places: ReadonlyMap<string, number>): number {
  return [...places].filter(([id, until]) => until > model.now && !personOf(model, id)?.removed)
    .length;
}

export const isSettled = ({ state }: ModelGrant): boolean =>
  state === 'approved' || state === 'active';

/** What a grant requires of somebody and is not so. */
export const lacks = (person: ModelPerson, { requires }: GrantSpec, now: number): boolean =>
  requires.some(({ name, is }) => {
    const value =
      now < (person.attributesUntil[name] ?? Infinity) ? person.attributes[name] : undefined;
    return value === undefined || (is !== undefined && !is.includes(value));
  });

/** Milliseconds between reviews; Infinity: there are none. Here they are said in hours. */
export const spanOfReview = ({ review }: GrantSpec): number =>
  review === null ? Infinity : Number.parseInt(review.every, 10) * 3_600_000;
