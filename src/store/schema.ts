/** The tables as drizzle sees them. What they mean stands in migrations/sqlite; both change together. */
import { blob, integer, primaryKey, sqliteTable, text } from 'drizzle-orm/sqlite-core';
import type { Json } from '../core/audit/entry.ts';
import type { SplitViewKind, SplitViewSource } from '../core/audit/split-view.ts';
import type { ApprovalRole } from '../core/authority-rules.ts';
import type { DeliveryFailure, DeliveryState } from '../core/deliveries.ts';
import type { DutyCause, DutyKind, DutyState } from '../core/duties.ts';
import type { GrantSpec, GrantState, Proposal } from '../core/grants.ts';
import type { Incident, IncidentState } from '../core/incidents/incident.ts';
import type { WithdrawnBecause } from '../core/invitations.ts';
import type { NoticeKind } from '../core/notices.ts';
import type { Alternative, DisputeOutcome } from '../core/orders/disputes.ts';
import type { EndedBecause, IssuedAs, OrderSpec } from '../core/orders/order.ts';
import type { Narrowing } from '../core/narrowing.ts';
import type { AttributeSet, LabIdentity, LabKind, Role } from '../core/people.ts';
import type { SigningKeyState } from '../core/signing-keys.ts';
import type { Purpose } from '../core/vocabulary.ts';

export const meta = sqliteTable('meta', {
  key: text().primaryKey(),
  value: text().notNull(),
});

export const labs = sqliteTable('labs', {
  id: text().primaryKey(),
  kind: text().$type<LabKind>().notNull(),
  name: text().notNull(),
  createdAt: integer('created_at').notNull(),
  identity: text({ mode: 'json' }).$type<LabIdentity>(),
});

export const people = sqliteTable('people', {
  id: text().primaryKey(),
  labId: text('lab_id').notNull(),
  name: text().notNull(),
  roles: text({ mode: 'json' }).$type<Role[]>().notNull(),
  attributes: text({ mode: 'json' }).$type<Record<string, string>>().notNull(),
  createdAt: integer('created_at').notNull(),
  removedAt: integer('removed_at'),
  subject: text(),
  attributesUntil: text('attributes_until', { mode: 'json' })
    .$type<Record<string, number>>()
    .notNull(),
  attributesSet: text('attributes_set', { mode: 'json' })
    .$type<Record<string, AttributeSet>>()
    .notNull(),
});

export const invitations = sqliteTable('invitations', {
  id: text().primaryKey(),
  labId: text('lab_id').notNull(),
  name: text().notNull(),
  roles: text({ mode: 'json' }).$type<Role[]>().notNull(),
  attributes: text({ mode: 'json' }).$type<Record<string, string>>().notNull(),
  subject: text(),
  grantId: text('grant_id'),
  rosterUntil: integer('roster_until'),
  secretDigest: text('secret_digest').notNull(),
  invitedBy: text('invited_by').notNull(),
  createdAt: integer('created_at').notNull(),
  expiresAt: integer('expires_at').notNull(),
  joinedAs: text('joined_as'),
  endedAt: integer('ended_at'),
  withdrawnBecause: text('withdrawn_because').$type<WithdrawnBecause>(),
});

export const personKeys = sqliteTable('person_keys', {
  kid: text().primaryKey(),
  personId: text('person_id').notNull(),
  x: text().notNull(),
  addedAt: integer('added_at').notNull(),
  removedAt: integer('removed_at'),
});

export const grants = sqliteTable('grants', {
  id: text().primaryKey(),
  labId: text('lab_id').notNull(),
  state: text().$type<GrantState>().notNull(),
  version: integer().notNull(),
  acceptedForLabBy: text('accepted_for_lab_by'),
  createdAt: integer('created_at').notNull(),
  updatedAt: integer('updated_at').notNull(),
  proposedVersion: integer('proposed_version'),
  proposedState: text('proposed_state').$type<Proposal['state']>(),
  reviewDueAt: integer('review_due_at'),
  endedAt: integer('ended_at'),
});

export const grantVersions = sqliteTable(
  'grant_versions',
  {
    grantId: text('grant_id').notNull(),
    version: integer().notNull(),
    authorId: text('author_id').notNull(),
    spec: text({ mode: 'json' }).$type<GrantSpec>().notNull(),
    termsDigest: text('terms_digest').notNull(),
    createdAt: integer('created_at').notNull(),
    chain: integer().notNull(),
    narrows: integer({ mode: 'boolean' }).notNull(),
    restsOn: integer('rests_on'),
    approvalsNeeded: text('approvals_needed', { mode: 'json' }).$type<ApprovalRole[]>(),
  },
  (table) => [primaryKey({ columns: [table.grantId, table.version] })],
);

export const grantApprovals = sqliteTable(
  'grant_approvals',
  {
    grantId: text('grant_id').notNull(),
    version: integer().notNull(),
    approvedAs: text('approved_as').$type<ApprovalRole>().notNull(),
    personId: text('person_id').notNull(),
    at: integer().notNull(),
  },
  (table) => [primaryKey({ columns: [table.grantId, table.version, table.approvedAs] })],
);

export const grantAcceptances = sqliteTable(
  'grant_acceptances',
  {
    grantId: text('grant_id').notNull(),
    termsDigest: text('terms_digest').notNull(),
    personId: text('person_id').notNull(),
    at: integer().notNull(),
  },
  (table) => [primaryKey({ columns: [table.grantId, table.termsDigest, table.personId] })],
);

export const grantJoiners = sqliteTable(
  'grant_joiners',
  {
    grantId: text('grant_id').notNull(),
    personId: text('person_id').notNull(),
    until: integer(),
    addedBy: text('added_by').notNull(),
    addedAt: integer('added_at').notNull(),
  },
  (table) => [primaryKey({ columns: [table.grantId, table.personId] })],
);

export const grantLeavers = sqliteTable(
  'grant_leavers',
  {
    grantId: text('grant_id').notNull(),
    personId: text('person_id').notNull(),
    leftAt: integer('left_at').notNull(),
  },
  (table) => [primaryKey({ columns: [table.grantId, table.personId] })],
);

export const grantTakenOff = sqliteTable(
  'grant_taken_off',
  {
    grantId: text('grant_id').notNull(),
    personId: text('person_id').notNull(),
    by: text().notNull(),
    at: integer().notNull(),
  },
  (table) => [primaryKey({ columns: [table.grantId, table.personId] })],
);

export const duties = sqliteTable('duties', {
  id: text().primaryKey(),
  grantId: text('grant_id').notNull(),
  labId: text('lab_id').notNull(),
  personId: text('person_id'),
  kind: text().$type<DutyKind>().notNull(),
  text: text().notNull(),
  cause: text().$type<DutyCause>().notNull(),
  state: text().$type<DutyState>().notNull(),
  begunAt: integer('begun_at').notNull(),
  dueAt: integer('due_at').notNull(),
  reportedBy: text('reported_by'),
  reportedAt: integer('reported_at'),
  statement: text(),
  documentDigest: text('document_digest'),
  confirmedBy: text('confirmed_by'),
  confirmedAt: integer('confirmed_at'),
  returnGrounds: text('return_grounds'),
});

export const runs = sqliteTable('runs', {
  id: text().primaryKey(),
  grantId: text('grant_id').notNull(),
  purpose: text().$type<Purpose>().notNull(),
  name: text().notNull(),
  personId: text('person_id').notNull(),
  createdAt: integer('created_at').notNull(),
  endedAt: integer('ended_at'),
  lastUsedAt: integer('last_used_at'),
});

export const tokens = sqliteTable('tokens', {
  id: text().primaryKey(),
  audience: text().$type<'gateway' | 'control'>().notNull(),
  personId: text('person_id').notNull(),
  labId: text('lab_id').notNull(),
  kid: text().notNull(),
  grantId: text('grant_id'),
  grantVersion: integer('grant_version'),
  purpose: text().$type<Purpose>(),
  runId: text('run_id'),
  issuedAt: integer('issued_at').notNull(),
  expiresAt: integer('expires_at').notNull(),
  revokedAt: integer('revoked_at'),
  vouchedBy: text('vouched_by').$type<'person' | 'lab'>().notNull().default('person'),
  jkt: text(),
  narrowing: text({ mode: 'json' }).$type<Narrowing>(),
  signingKid: text('signing_kid'),
  lastUsedAt: integer('last_used_at'),
});

export const usedAssertions = sqliteTable(
  'used_assertions',
  {
    issuer: text().notNull(),
    jti: text().notNull(),
    expiresAt: integer('expires_at').notNull(),
  },
  (table) => [primaryKey({ columns: [table.issuer, table.jti] })],
);

export const usedProofs = sqliteTable(
  'used_proofs',
  {
    jkt: text().notNull(),
    jti: text().notNull(),
    expiresAt: integer('expires_at').notNull(),
  },
  (table) => [primaryKey({ columns: [table.jkt, table.jti] })],
);

export const signingKeys = sqliteTable('signing_keys', {
  kid: text().primaryKey(),
  x: text().notNull(),
  state: text().$type<SigningKeyState>().notNull(),
  createdAt: integer('created_at').notNull(),
  activatesAt: integer('activates_at'),
  activatedAt: integer('activated_at'),
  replacedAt: integer('replaced_at'),
  retiredAt: integer('retired_at'),
});

export const orders = sqliteTable('orders', {
  id: text().primaryKey(),
  spec: text({ mode: 'json' }).$type<OrderSpec>().notNull(),
  issuedBy: text('issued_by').notNull(),
  issuedByLab: text('issued_by_lab').notNull(),
  issuedAs: text('issued_as').$type<IssuedAs>().notNull(),
  issuedAt: integer('issued_at').notNull(),
  ratifiedBy: text('ratified_by'),
  ratifiedAt: integer('ratified_at'),
  lapsesAt: integer('lapses_at'),
  reviewDueAt: integer('review_due_at'),
  lapsesUnreviewed: integer('lapses_unreviewed', { mode: 'boolean' }).notNull(),
  replaces: text(),
  loweredBy: text('lowered_by'),
  endedAt: integer('ended_at'),
  endedBy: text('ended_by'),
  endedBecause: text('ended_because').$type<EndedBecause>(),
  endGrounds: text('end_grounds'),
  changes: integer().notNull().default(0),
});

export const ordersTold = sqliteTable(
  'orders_told',
  { orderId: text('order_id').notNull(), labId: text('lab_id').notNull() },
  (table) => [primaryKey({ columns: [table.orderId, table.labId] })],
);

export const orderAcknowledgements = sqliteTable(
  'order_acknowledgements',
  {
    orderId: text('order_id').notNull(),
    personId: text('person_id').notNull(),
    labId: text('lab_id').notNull(),
    at: integer().notNull(),
    underObjection: integer('under_objection', { mode: 'boolean' }).notNull(),
  },
  (table) => [primaryKey({ columns: [table.orderId, table.personId] })],
);

export const disputes = sqliteTable('disputes', {
  id: text().primaryKey(),
  orderId: text('order_id').notNull(),
  labId: text('lab_id').notNull(),
  personId: text('person_id').notNull(),
  at: integer().notNull(),
  grounds: text().notNull(),
  alternative: text({ mode: 'json' }).$type<Alternative>(),
  dueAt: integer('due_at').notNull(),
  escalatedAt: integer('escalated_at'),
  outcome: text().$type<DisputeOutcome>(),
  decidedBy: text('decided_by'),
  decidedAt: integer('decided_at'),
  decisionGrounds: text('decision_grounds'),
  newOrderId: text('new_order_id'),
});

export const incidents = sqliteTable('incidents', {
  id: text().primaryKey(),
  state: text().$type<IncidentState>().notNull(),
  nextDueAt: integer('next_due_at'),
  record: text({ mode: 'json' }).$type<Incident>().notNull(),
});

/** What is done by itself at a moment. */
export type AgendaKind = 'order' | 'dispute' | 'attributes' | 'grant' | 'duty' | 'incident';

export const agenda = sqliteTable(
  'agenda',
  {
    at: integer().notNull(),
    kind: text().$type<AgendaKind>().notNull(),
    ref: text().notNull(),
    /** How often it failed, and the moment before which it is not tried again. */
    attempts: integer().notNull().default(0),
    notBefore: integer('not_before').notNull().default(0),
  },
  (table) => [primaryKey({ columns: [table.kind, table.ref, table.at] })],
);

export const notices = sqliteTable('notices', {
  id: text().primaryKey(),
  at: integer().notNull(),
  kind: text().$type<NoticeKind>().notNull(),
  ref: text().notNull(),
  labId: text('lab_id').notNull(),
  personId: text('person_id'),
  title: text().notNull(),
  data: text({ mode: 'json' }).$type<Record<string, Json>>().notNull(),
});

export const noticeAcknowledgements = sqliteTable(
  'notice_acknowledgements',
  {
    noticeId: text('notice_id').notNull(),
    personId: text('person_id').notNull(),
    at: integer().notNull(),
  },
  (table) => [primaryKey({ columns: [table.noticeId, table.personId] })],
);

export const deliveries = sqliteTable('deliveries', {
  id: text().primaryKey(),
  noticeId: text('notice_id').notNull(),
  channel: text().notNull(),
  state: text().$type<DeliveryState>().notNull(),
  attempts: integer().notNull(),
  createdAt: integer('created_at').notNull(),
  nextAt: integer('next_at'),
  endedAt: integer('ended_at'),
  failure: text().$type<DeliveryFailure>(),
  status: integer(),
  failedAt: integer('failed_at'),
});

export const requests = sqliteTable('requests', {
  id: text().primaryKey(),
  grantId: text('grant_id').notNull(),
  personId: text('person_id').notNull(),
  tokenId: text('token_id').notNull(),
  state: text().$type<'open' | 'settled' | 'unknown'>().notNull(),
  admittedAt: integer('admitted_at').notNull(),
  settledAt: integer('settled_at'),
  requests: integer().notNull(),
  tokensReserved: integer('tokens_reserved').notNull(),
  spendReservedNano: integer('spend_reserved_nano').notNull(),
  tokensCharged: integer('tokens_charged').notNull(),
  spendChargedNano: integer('spend_charged_nano').notNull(),
  salt: blob({ mode: 'buffer' }).notNull(),
});

export const transcriptDestructions = sqliteTable('transcript_destructions', {
  id: text().primaryKey(),
  grantId: text('grant_id').notNull(),
  writtenUntil: integer('written_until'),
  dueUntil: integer('due_until'),
  held: text({ mode: 'json' }).$type<string[]>().notNull(),
  begunAt: integer('begun_at').notNull(),
  finishedAt: integer('finished_at'),
});

export const charges = sqliteTable(
  'charges',
  {
    grantId: text('grant_id').notNull(),
    personId: text('person_id').notNull(),
    requestsSettled: integer('requests_settled').notNull(),
    requestsReserved: integer('requests_reserved').notNull(),
    tokensSettled: integer('tokens_settled').notNull(),
    tokensReserved: integer('tokens_reserved').notNull(),
    spendSettledNano: integer('spend_settled_nano').notNull(),
    spendReservedNano: integer('spend_reserved_nano').notNull(),
  },
  (table) => [primaryKey({ columns: [table.grantId, table.personId] })],
);

export const usageMinutes = sqliteTable(
  'usage_minutes',
  {
    grantId: text('grant_id').notNull(),
    minute: integer().notNull(),
    personId: text('person_id').notNull(),
    requests: integer().notNull(),
    tokens: integer().notNull(),
  },
  (table) => [primaryKey({ columns: [table.grantId, table.minute, table.personId] })],
);

export const entries = sqliteTable('entries', {
  idx: integer().primaryKey(),
  id: text().notNull(),
  kind: text().notNull(),
  ref: text(),
  labId: text('lab_id'),
  personId: text('person_id'),
  grantId: text('grant_id'),
  leaf: blob({ mode: 'buffer' }).notNull(),
  bytes: blob({ mode: 'buffer' }).notNull(),
});

export const tiles = sqliteTable(
  'tiles',
  {
    level: integer().notNull(),
    n: integer().notNull(),
    hashes: blob({ mode: 'buffer' }).notNull(),
  },
  (table) => [primaryKey({ columns: [table.level, table.n] })],
);

export const logKeys = sqliteTable('log_keys', {
  verifierKey: text('verifier_key').primaryKey(),
  file: text().notNull(),
  after: integer().notNull(),
  at: integer().notNull(),
  step: text(),
  signsUntil: integer('signs_until'),
});

export const cosignatures = sqliteTable(
  'cosignatures',
  {
    size: integer().notNull(),
    witnessKey: text('witness_key').notNull(),
    line: text().notNull(),
    signedAt: integer('signed_at').notNull(),
    at: integer().notNull(),
  },
  (table) => [primaryKey({ columns: [table.size, table.witnessKey] })],
);

export const watchedLogs = sqliteTable('watched_logs', {
  origin: text().primaryKey(),
  size: integer().notNull(),
  root: blob({ mode: 'buffer' }).notNull(),
  note: text().notNull(),
  at: integer().notNull(),
  recordedAt: integer('recorded_at').notNull(),
});

export const shownCheckpoints = sqliteTable(
  'shown_checkpoints',
  {
    origin: text().notNull(),
    size: integer().notNull(),
    root: blob({ mode: 'buffer' }).notNull(),
    note: text().notNull(),
    at: integer().notNull(),
    isCosigned: integer('is_cosigned', { mode: 'boolean' }).notNull(),
    refusedAt: integer('refused_at'),
  },
  (table) => [primaryKey({ columns: [table.origin, table.size] })],
);

export const splitViews = sqliteTable('split_views', {
  id: text().primaryKey(),
  origin: text().notNull(),
  at: integer().notNull(),
  kind: text().$type<SplitViewKind>().notNull(),
  source: text().$type<SplitViewSource>().notNull(),
  labId: text('lab_id'),
  older: text().notNull(),
  newer: text().notNull(),
  pastRoot: blob('past_root', { mode: 'buffer' }),
  proof: text({ mode: 'json' }).$type<string[]>(),
  pair: text().notNull(),
});

export const checkpoints = sqliteTable('checkpoints', {
  size: integer().primaryKey(),
  note: text().notNull(),
  at: integer().notNull(),
});

export const prunings = sqliteTable('prunings', {
  before: integer().primaryKey(),
  first: integer().notNull(),
  exportId: text('export_id').notNull(),
  sha256: text().notNull(),
  bytes: integer().notNull(),
  size: integer().notNull(),
  archivedBy: text('archived_by').notNull(),
  archivedAt: integer('archived_at').notNull(),
  by: text().notNull(),
  at: integer().notNull(),
  entry: integer().notNull(),
});

export const introductions = sqliteTable(
  'introductions',
  {
    subject: text().notNull(),
    by: text().notNull(),
    at: integer().notNull(),
  },
  (table) => [primaryKey({ columns: [table.subject, table.by, table.at] })],
);

export const forwardCursors = sqliteTable('forward_cursors', {
  receiver: text().primaryKey(),
  next: integer().notNull(),
  updatedAt: integer('updated_at').notNull(),
});
