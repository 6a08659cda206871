/** What the log alone says there is: the state that {@link replay} makes of entries. */
import type { Duty } from '../duties.ts';
import { NOTHING_CONFIGURED, type Configured } from '../configured.ts';
import type { Grant, GrantState, GrantText, Proposal } from '../grants.ts';
import type { WithdrawnBecause } from '../invitations.ts';
import type { Narrowing } from '../narrowing.ts';
import type { Dispute } from '../orders/disputes.ts';
import type { Order } from '../orders/order.ts';
import { partsOf } from '../orders/selector.ts';
import type { Lab, Person } from '../people.ts';
import type { Purpose } from '../vocabulary.ts';

/** A lab; of the keys that it signs with, entries have the ids alone. */
export interface ReplayedLab extends Pick<Lab, 'id' | 'kind' | 'name' | 'createdAt'> {
  identity: { issuer: string; jwksUrl: string | null; kids: string[] } | null;
}

/** A person; of their keys, entries have the thumbprints alone. */
export interface ReplayedPerson extends Omit<Person, 'keys'> {
  kids: string[];
}

interface ReplayedInvitation {
  id: string;
  labId: string;
  grantId: string | null;
  invitedBy: string;
  rosterUntil: number | null;
  expiresAt: number;
  joinedAs: string | null;
  endedAt: number | null;
  withdrawnBecause: WithdrawnBecause | null;
}

/** A grant with all of its texts. Of terms, entries have version and digest alone. */
export interface ReplayedGrant {
  id: string;
  state: GrantState;
  version: number;
  proposed: Pick<Proposal, 'version' | 'state'> | null;
  texts: Map<number, GrantText>;
  /** Who accepted which terms, by their digest. */
  accepted: Map<string, Set<string>>;
  joiners: Grant['joiners'];
  leavers: string[];
  takenOff: string[];
  reviewDueAt: number | null;
  endedAt: number | null;
  acceptedForLabBy: string | null;
  createdAt: number;
  updatedAt: number;
}

interface Acknowledgement {
  orderId: string;
  personId: string;
  labId: string;
  at: number;
  underObjection: boolean;
}

/** A token that was issued and is not over. */
export interface ReplayedToken {
  id: string;
  audience: 'gateway' | 'control';
  labId: string;
  personId: string;
  grantId: string | null;
  purpose: Purpose | null;
  runId: string | null;
  kid: string;
  vouchedBy: 'person' | 'lab';
  boundTo: string | null;
  /** Our key that signed it; null: the first one, before more were kept. */
  signedWith: string | null;
  narrowing: Narrowing | null;
  issuedAt: number;
  expiresAt: number;
}

export interface ReplayedRun {
  id: string;
  grantId: string;
  purpose: string;
  name: string;
  personId: string;
  createdAt: number;
  endedAt: number | null;
}

/** Something that the entries do not tell. */
export interface LogGap {
  index: number;
  kind: string;
  why: string;
}

export interface Replayed {
  /** Entries that are in it, and when the last of them was committed, epoch milliseconds. */
  size: number;
  until: number | null;
  /** Id of the host lab. */
  host: string | null;
  labs: Map<string, ReplayedLab>;
  people: Map<string, ReplayedPerson>;
  invitations: Map<string, ReplayedInvitation>;
  grants: Map<string, ReplayedGrant>;
  orders: Map<string, Order>;
  disputes: Map<string, Dispute>;
  duties: Map<string, Duty>;
  /** By order and person. */
  acknowledgements: Map<string, Acknowledgement>;
  /** Those that had not ended and not expired when the last entry was made. */
  tokens: Map<string, ReplayedToken>;
  runs: Map<string, ReplayedRun>;
  /** Safeguards that the configuration lifts, by endpoint, as the broker said when it last started. */
  safeguards: Map<string, string[]>;
  /** The rest of what the configuration says of access, likewise. */
  configured: Configured;
  gaps: LogGap[];
}

export function nothingReplayed(): Replayed {
  return {
    size: 0,
    until: null,
    host: null,
    labs: new Map(),
    people: new Map(),
    invitations: new Map(),
    grants: new Map(),
    orders: new Map(),
    disputes: new Map(),
    duties: new Map(),
    acknowledgements: new Map(),
    tokens: new Map(),
    runs: new Map(),
    safeguards: new Map(),
    configured: NOTHING_CONFIGURED,
    gaps: [],
  };
}

/** A replayed grant as decisions take it; undefined where the log has not told its text. */
export function grantOf(replayed: ReplayedGrant): Grant | undefined {
  const { id, state, version, proposed, texts, accepted, leavers } = replayed;
  const { joiners, takenOff, reviewDueAt, endedAt } = replayed;
  const { acceptedForLabBy, createdAt, updatedAt } = replayed;
  const text = texts.get(version);
  const next = proposed && texts.get(proposed.version);
  if (!text || next === undefined) return undefined;
  return {
    id,
    state,
    ...text,
    proposed: proposed && next && { state: proposed.state, ...next },
    acceptedBy: [...(accepted.get(text.termsDigest) ?? [])],
    joiners,
    leavers,
    takenOff,
    reviewDueAt,
    endedAt,
    acceptedForLabBy,
    createdAt,
    updatedAt,
  };
}

/** The orders that nothing has ended, as decisions take them: oldest first, each with where its safeguard is lifted. */
export function ordersOf({ orders, safeguards }: Replayed): Order[] {
  return [...orders.values()]
    .filter(({ endedAt }) => endedAt === null)
    .sort((a, b) => (a.id < b.id ? -1 : 1))
    .map((order) => {
      const { safeguard } = partsOf(order.selector);
      if (safeguard === undefined) return order;
      const at = [...safeguards].filter(([, lifted]) => lifted.includes(safeguard));
      return { ...order, safeguardAt: at.map(([endpoint]) => endpoint) };
    });
}
