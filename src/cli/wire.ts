/**
 * What the API answers, as far as commands read it. Members that are not named here pass through to
 * `--json` as they came; nothing here changes a value.
 */
import { alternativeSchema } from '../core/orders/disputes.ts';
import { authorityClaimSchema, evidenceSchema, measuresSchema } from '../core/orders/order.ts';
import { selectorSchema } from '../core/orders/selector.ts';
import { z } from 'zod';

/** A moment, RFC 3339. */
const time = z.string();
const maybeTime = time.nullish();
const names = z.array(z.string());

export const labSchema = z.looseObject({
  id: z.string(),
  kind: z.string(),
  name: z.string(),
  createdAt: time,
  identity: z
    .looseObject({
      issuer: z.string(),
      jwksUrl: z.string().nullable(),
      kids: names.nullable(),
      setAt: time,
    })
    .nullish(),
});
export type Lab = z.infer<typeof labSchema>;

export const personSchema = z.looseObject({
  id: z.string(),
  lab: z.string(),
  name: z.string(),
  roles: names,
  attributes: z.record(z.string(), z.string()),
  attributesUntil: z.record(z.string(), time),
  attributesSet: z.record(z.string(), z.looseObject({ by: z.string().nullable(), at: time })),
  subject: z.string().nullish(),
  keys: z.array(z.looseObject({ kid: z.string(), addedAt: time })),
  createdAt: time,
  removedAt: maybeTime,
});
export type Person = z.infer<typeof personSchema>;

export const meSchema = z.looseObject({ person: personSchema, lab: labSchema });
export type Me = z.infer<typeof meSchema>;

export const endpointSchema = z.looseObject({
  id: z.string(),
  description: z.string(),
  dialects: names,
  models: names,
  safeguardsLifted: z.array(
    z.looseObject({ safeguard: z.string(), reason: z.string(), owner: z.string() }),
  ),
  features: z.record(z.string(), z.unknown()),
  prices: z
    .looseObject({ inputUsdPerMillion: z.number(), outputUsdPerMillion: z.number() })
    .optional(),
});
export type Endpoint = z.infer<typeof endpointSchema>;

/** All endpoints come at once. */
export const endpointsSchema = z.looseObject({ items: z.array(endpointSchema), next: z.null() });

const capsSchema = z.record(z.string(), z.number().nullable());

const grantSpecSchema = z.looseObject({
  title: z.string(),
  lab: z.string(),
  endpoints: z.array(z.looseObject({ endpoint: z.string(), models: names })),
  operations: names,
  features: z.record(z.string(), z.unknown()),
  purposes: z.looseObject({ allowed: names, excluded: names }),
  people: z.array(z.looseObject({ person: z.string(), until: maybeTime })),
  maxPeople: z.number().optional(),
  requires: z.array(z.looseObject({ name: z.string(), is: names.optional() })),
  limits: capsSchema,
  budgets: capsSchema,
  perPerson: z.looseObject({ limits: capsSchema, budgets: capsSchema }),
  networks: names.nullable(),
  binding: z.string(),
  transcripts: z.string(),
  unknownFields: z.string(),
  window: z.looseObject({ from: time, until: time }),
  review: z.looseObject({ every: z.string() }).nullable(),
  duties: z.array(z.looseObject({ kind: z.string(), text: z.string(), within: z.string() })),
  tokenLifetimeSeconds: z.number(),
  terms: z.looseObject({ version: z.string(), text: z.string() }),
});
export type GrantSpec = z.infer<typeof grantSpecSchema>;

/** A text of a grant, and who stands behind it. */
const textShape = {
  version: z.number(),
  spec: grantSpecSchema,
  termsDigest: z.string(),
  authorIds: names,
  approvals: z.array(z.looseObject({ personId: z.string(), as: z.string(), at: time })),
  /** Roles, one person of the host for each. */
  approvalsNeeded: names,
};

/** A version that is to follow the one in force. */
const proposalSchema = z.looseObject({
  state: z.string(),
  ...textShape,
  changes: z.array(z.looseObject({ path: z.string(), effect: z.string(), text: z.string() })),
});
export type Proposal = z.infer<typeof proposalSchema>;

export const grantSchema = z.looseObject({
  id: z.string(),
  /** What "If-Match" takes. */
  revision: z.string(),
  state: z.string(),
  /** What decides requests: the state, the window and the orders in force together. */
  status: z.string(),
  /** Why nothing passes under the grant. */
  statusReason: z.looseObject({ code: z.string(), message: z.string() }).nullable(),
  ...textShape,
  proposed: proposalSchema.nullable(),
  acceptedBy: names,
  acceptedForLabBy: z.string().nullish(),
  joiners: z.array(z.looseObject({ personId: z.string(), until: maybeTime })),
  leavers: names,
  takenOff: names,
  reviewDueAt: maybeTime,
  roster: z.array(
    z.looseObject({ personId: z.string(), until: maybeTime, removed: z.boolean(), lacking: names }),
  ),
  /** Places of the roster that are taken, and those that open invitations hold. */
  places: z.looseObject({ taken: z.number(), invited: z.number() }).nullish(),
  createdAt: time,
  updatedAt: time,
});
export type Grant = z.infer<typeof grantSchema>;

const chargedSchema = z.looseObject({
  requestsSettled: z.number(),
  requestsReserved: z.number(),
  tokensSettled: z.number(),
  tokensReserved: z.number(),
  spendSettledNanoUsd: z.number(),
  spendReservedNanoUsd: z.number(),
});
export type Charged = z.infer<typeof chargedSchema>;

const budgetLeftSchema = z.looseObject({ cap: z.number(), left: z.number() }).nullable();
const scopeShape = {
  lastDay: z.looseObject({ requests: z.number(), tokens: z.number() }),
  left: z.looseObject({
    requests: budgetLeftSchema,
    tokens: budgetLeftSchema,
    requestsPerDay: budgetLeftSchema,
    tokensPerDay: budgetLeftSchema,
    spendUsd: budgetLeftSchema,
  }),
};

export const usageSchema = z.looseObject({
  total: chargedSchema,
  ...scopeShape,
  people: z.array(z.looseObject({ personId: z.string(), charged: chargedSchema, ...scopeShape })),
});

const scopeSchema = z.looseObject(scopeShape);
/** What one scope, a grant or a person under it, has left. */
export type ScopeLeft = z.infer<typeof scopeSchema>;

export const orderSchema = z.looseObject({
  id: z.string(),
  /** What "If-Match" takes. */
  revision: z.string(),
  level: z.number(),
  levelName: z.string(),
  selector: selectorSchema,
  measures: measuresSchema,
  grounds: z.string(),
  authority: authorityClaimSchema,
  evidence: evidenceSchema.optional(),
  band: z.string().nullable(),
  whyNotLower: z.string().optional(),
  missing: z.array(z.string()),
  inForce: z.boolean(),
  ratified: z.boolean(),
  endsAt: maybeTime,
  lapsesAt: maybeTime,
  reviewDueAt: maybeTime,
  issuedBy: z.string(),
  issuedAt: time,
  ratifiedBy: z.string().nullable(),
  ratifiedAt: maybeTime,
  replaces: z.string().nullable(),
  ended: z
    .looseObject({
      at: time,
      by: z.string().nullable(),
      because: z.string(),
      grounds: z.string().nullable(),
    })
    .nullable(),
});
export type Order = z.infer<typeof orderSchema>;

/** An order just issued, with the requests in flight that it cut. */
export const issuedOrderSchema = orderSchema.extend({
  ratifiers: z.array(z.string()),
  lifters: z.array(z.string()),
  cut: z.array(z.looseObject({ requestId: z.string() })),
  /** Set when nothing matches the selector at present. */
  warning: z.string().nullable(),
});

export const disputeSchema = z.looseObject({
  id: z.string(),
  revision: z.string(),
  orderId: z.string(),
  labId: z.string(),
  personId: z.string(),
  grounds: z.string(),
  /** What is proposed instead. */
  alternative: alternativeSchema.nullable(),
  at: time,
  dueAt: time,
  escalatedAt: maybeTime,
  outcome: z.string().nullable(),
  decisionGrounds: z.string().nullable(),
  newOrderId: z.string().nullable(),
});
export type Dispute = z.infer<typeof disputeSchema>;

/** An order with what came of it. */
export const wholeOrderSchema = orderSchema.extend({
  ratifiers: z.array(z.string()),
  lifters: z.array(z.string()),
  disputes: z.array(disputeSchema),
  acknowledgements: z.array(
    z.looseObject({ personId: z.string(), at: time, underObjection: z.boolean() }),
  ),
});

const staying = {
  grants: z.number(),
  people: z.number(),
  tokens: z.number(),
  live: z.number(),
};

export const previewSchema = z.looseObject({
  stops: z.looseObject({
    grants: z.array(z.string()),
    labs: z.array(z.string()),
    people: z.array(
      z.looseObject({ personId: z.string(), grantId: z.string(), keepsPart: z.boolean() }),
    ),
    tokens: z.array(z.looseObject({ tokenId: z.string() })),
    runs: z.array(z.string()),
    live: z.array(z.looseObject({ requestId: z.string(), stream: z.boolean() })),
  }),
  stays: z.looseObject(staying),
  stopsEverything: z.boolean(),
  warning: z.string().nullable(),
  missing: z.array(z.string()),
  suggested: z.looseObject({ band: z.string(), level: z.number() }).nullable(),
  narrower: z.array(
    z.looseObject({
      level: z.number(),
      selector: selectorSchema,
      because: z.string(),
      ...staying,
    }),
  ),
});

export const tokenSchema = z.looseObject({
  id: z.string(),
  personId: z.string(),
  grantId: z.string().nullish(),
  purpose: z.string().nullish(),
  runName: z.string().nullish(),
  issuedAt: time,
  expiresAt: time,
  revokedAt: maybeTime,
  lastUsedAt: maybeTime,
  /** Thumbprint of the key that it is bound to. */
  bound: z.string().nullable(),
});

/** A token of the gateway is for a grant; one of the control API for whatever its person may do. */
export const isOfGateway = ({ grantId }: z.infer<typeof tokenSchema>): boolean =>
  typeof grantId === 'string';

export const runSchema = z.looseObject({
  id: z.string(),
  grantId: z.string(),
  purpose: z.string(),
  name: z.string(),
  personId: z.string(),
  createdAt: time,
  endedAt: maybeTime,
  liveTokens: z.number(),
  lastUsedAt: maybeTime,
});

/** How many live tokens ended, and how many running requests were cut. */
const endedSchema = z.looseObject({ ended: z.number(), cut: z.number() });

export const tokensRevokedSchema = endedSchema.extend({
  /** Set when there was nothing to end. */
  warning: z.string().nullable(),
});

/** Null: the run goes on, and only the caller's own tokens of it ended. */
export const runEndedSchema = endedSchema.extend({ endedAt: time.nullable() });

export const handedBackSchema = endedSchema.extend({ grants: names });

/** This lab's word for the caller, for the broker of another lab. */
export const assertionSchema = z.looseObject({ assertion: z.string(), expiresAt: time });

export const signingKeySchema = z.looseObject({
  kid: z.string(),
  state: z.string(),
  createdAt: time,
  activatesAt: maybeTime,
  activatedAt: maybeTime,
  replacedAt: maybeTime,
  retiredAt: maybeTime,
});

export const listedKeySchema = signingKeySchema.extend({ liveTokens: z.number().nullish() });

/** A key just retired, with what that ended. */
export const retiredKeySchema = z.looseObject({
  key: signingKeySchema,
  activeKid: z.string(),
  tokensEnded: z.number(),
});

export const revokedSchema = z.looseObject({ revokedAt: time, cut: z.number() });

export const entrySchema = z.looseObject({
  index: z.number(),
  entry: z.looseObject({
    id: z.string(),
    kind: z.string(),
    at: time,
    actor: z.union([z.looseObject({ person: z.string() }), z.looseObject({ system: z.string() })]),
    ref: z.string().optional(),
    grant: z.string().optional(),
    decision: z.string().optional(),
    reason: z.string().optional(),
  }),
});
export type Entry = z.infer<typeof entrySchema>;
