/**
 * Makes the state of the entries of a log, one after the other: who was allowed what, and when, from the log alone. It
 * decides nothing: what an entry records has happened.
 */
import type { EntryKind } from './entry.ts';
import { Gap, parseLoggedEntry, type LoggedEntry } from './logged-entry.ts';
import { dutyBegun, dutyConfirmed, dutyReported, dutyReturned } from './replay-duties.ts';
import {
  approvalsDropped,
  grantAmended,
  grantApproved,
  grantCreated,
  grantExpired,
  grantMoved,
  grantReturned,
  grantSubmitted,
  handedBack,
  personAdded,
  personTakenOff,
  termsAccepted,
} from './replay-grants.ts';
import {
  disputeDecided,
  disputeOverdue,
  orderAcknowledged,
  orderEvidence,
  orderIssued,
  orderLapsed,
  orderLifted,
  orderLowered,
  orderObjected,
  orderRatified,
  orderReviewed,
  orderSupplemented,
} from './replay-orders.ts';
import {
  attributesSet,
  identityRemoved,
  identitySet,
  initialised,
  invitationWithdrawn,
  invited,
  joined,
  keyAdded,
  keyRemoved,
  labCreated,
  personCreated,
  personRemoved,
  rolesSet,
  started,
} from './replay-people.ts';
import {
  endTokens,
  runEnded,
  signingKeyRetired,
  tokenIssued,
  tokenRevoked,
  tokensRevoked,
} from './replay-tokens.ts';
import type { Replayed } from './replayed.ts';

type Handler = (state: Replayed, entry: LoggedEntry) => void;

/** Of these kinds, nothing follows for what is replayed: they say what was asked, refused, used, read or sent. */
const NO_STATE = null;

/** Every kind of entry: one that is added does not compile until it stands here. */
const HANDLERS: Record<EntryKind, Handler | typeof NO_STATE> = {
  'system.initialised': initialised,
  'system.started': started,
  'lab.created': labCreated,
  'lab.identity_set': identitySet,
  'lab.identity_removed': identityRemoved,
  'person.created': personCreated,
  'person.invited': invited,
  'person.invitation_withdrawn': invitationWithdrawn,
  'person.joined': joined,
  'person.removed': personRemoved,
  'person.key_added': keyAdded,
  'person.key_removed': keyRemoved,
  'person.roles_set': rolesSet,
  'person.attributes_set': attributesSet,
  'person.attributes_ended': attributesSet,
  'grant.created': grantCreated,
  'grant.amended': grantAmended,
  'grant.submitted': grantSubmitted,
  'grant.returned': grantReturned,
  'grant.approved': grantApproved,
  'grant.approvals_dropped': approvalsDropped,
  'grant.rejected': grantMoved,
  'grant.withdrawn': grantMoved,
  'grant.terms_accepted': termsAccepted,
  'grant.revoked': grantMoved,
  'grant.closed': grantMoved,
  'grant.reviewed': grantMoved,
  'grant.expired': grantExpired,
  'grant.person_added': personAdded,
  'grant.person_taken_off': personTakenOff,
  'duty.begun': dutyBegun,
  'duty.reported': dutyReported,
  'duty.returned': dutyReturned,
  'duty.confirmed': dutyConfirmed,
  'access.handed_back': handedBack,
  'order.issued': orderIssued,
  'order.evidence': orderEvidence,
  'order.ratified': orderRatified,
  'order.reviewed': orderReviewed,
  'order.supplemented': orderSupplemented,
  'order.acknowledged': orderAcknowledged,
  'order.lowered': orderLowered,
  'order.lifted': orderLifted,
  'order.lapsed': orderLapsed,
  'order.objected': orderObjected,
  'dispute.overdue': disputeOverdue,
  'dispute.decided': disputeDecided,
  'token.issued': tokenIssued,
  'token.revoked': tokenRevoked,
  'tokens.revoked': tokensRevoked,
  'run.ended': runEnded,
  'key.retired': signingKeyRetired,
  'order.review_overdue': NO_STATE,
  'grant.review_missed': NO_STATE,
  'duty.overdue': NO_STATE,
  // Incidents allow and stop nothing; their report has their entries with it.
  'incident.opened': NO_STATE,
  'incident.corrected': NO_STATE,
  'incident.linked': NO_STATE,
  'incident.unlinked': NO_STATE,
  'incident.found': NO_STATE,
  'incident.reported': NO_STATE,
  'incident.overdue': NO_STATE,
  'incident.resolved': NO_STATE,
  'incident.reopened': NO_STATE,
  'incident.exported': NO_STATE,
  'request.intent': NO_STATE,
  'request.outcome': NO_STATE,
  'request.answered': NO_STATE,
  'request.denied': NO_STATE,
  'request.denied_repeatedly': NO_STATE,
  'request.unauthenticated': NO_STATE,
  'token.denied': NO_STATE,
  'action.denied': NO_STATE,
  'key.created': NO_STATE,
  'key.activated': NO_STATE,
  'key.replaced': NO_STATE,
  'assertion.issued': NO_STATE,
  'notice.acknowledged': NO_STATE,
  'notice.undelivered': NO_STATE,
  'notice.replayed': NO_STATE,
  'audit.read': NO_STATE,
  'audit.exported': NO_STATE,
  'log.key_rotated': NO_STATE,
  'log.watched': NO_STATE,
  'log.checkpoint_refused': NO_STATE,
  'log.split_view': NO_STATE,
  'log.behind': NO_STATE,
  'log.pruned': NO_STATE,
  'audit.export_resumed': NO_STATE,
  'audit.export_completed': NO_STATE,
  'audit.reported': NO_STATE,
  'transcript.opened': NO_STATE,
  'transcript.destroyed': NO_STATE,
  'system.stopped': NO_STATE,
  'system.recovered': NO_STATE,
};

/** How often tokens that have expired are forgotten, so that a log of any length is replayed in little memory. */
const FORGET_EVERY = 1024;

/**
 * Replays one more entry, in the order of the log. What an entry does not tell, or this version cannot read, becomes a
 * gap of the state; the rest goes on.
 *
 * @param bytes the entry's exact bytes
 * @param until epoch milliseconds
 * @returns false, and nothing was replayed, where the entry was committed after that moment
 */
export function replay(state: Replayed, bytes: Uint8Array, until = Infinity): boolean {
  const entry = parseLoggedEntry(bytes);
  if (entry && entry.committedAt > until) return false;
  const index = state.size;
  state.size += 1;
  if (!entry) {
    state.gaps.push({ index, kind: '?', why: 'This version cannot read the entry.' });
    return true;
  }
  state.until = entry.committedAt;
  if (state.size % FORGET_EVERY === 0) forgetExpired(state, entry.at);
  const why = tell(state, entry);
  if (why !== undefined) state.gaps.push({ index, kind: entry.kind, why });
  return true;
}

/** @returns what the entry does not tell */
function tell(state: Replayed, entry: LoggedEntry): string | undefined {
  const { kind } = entry;
  if (!isKnown(kind))
    return 'This version does not know the kind: what it changed is not in the state.';
  try {
    HANDLERS[kind]?.(state, entry);
    return undefined;
  } catch (error) {
    if (error instanceof Gap) return error.message;
    throw error;
  }
}

const isKnown = (kind: string): kind is EntryKind => Object.hasOwn(HANDLERS, kind);

/** Forgets tokens that have expired by a moment, epoch milliseconds. */
export function forgetExpired(state: Replayed, now: number): void {
  endTokens(state, ({ expiresAt }) => expiresAt <= now);
}
