/**
 * What an audit entry says. An entry is serialised once, by the writer thread at the moment it gets its
 * index, and those bytes are the leaf of the tree for ever.
 */
import type { DenialCode } from '../denials.ts';

const ENTRY_SCHEMA_VERSION = 1;

/** RFC 6962 as C2SP serves it: a bundle gives an entry's length 16 bits. */
export const MAX_ENTRY_BYTES = 65_535;

export type EntryKind =
  | 'request.intent'
  | 'request.outcome'
  | 'request.answered'
  | 'request.denied'
  | 'request.denied_repeatedly'
  | 'request.unauthenticated'
  | 'token.issued'
  | 'token.denied'
  | 'token.revoked'
  | 'tokens.revoked'
  | 'run.ended'
  | 'access.handed_back'
  | 'key.created'
  | 'key.activated'
  | 'key.replaced'
  | 'key.retired'
  | 'assertion.issued'
  | 'lab.created'
  | 'lab.identity_set'
  | 'lab.identity_removed'
  | 'person.invited'
  | 'person.invitation_withdrawn'
  | 'person.joined'
  | 'person.created'
  | 'person.removed'
  | 'person.roles_set'
  | 'person.attributes_set'
  | 'person.attributes_ended'
  | 'person.key_added'
  | 'person.key_removed'
  | 'grant.created'
  | 'grant.amended'
  | 'grant.submitted'
  | 'grant.returned'
  | 'grant.approved'
  | 'grant.rejected'
  | 'grant.withdrawn'
  | 'grant.approvals_dropped'
  | 'grant.terms_accepted'
  | 'grant.revoked'
  | 'grant.closed'
  | 'grant.expired'
  | 'grant.reviewed'
  | 'grant.review_missed'
  | 'grant.person_added'
  | 'grant.person_taken_off'
  | 'duty.begun'
  | 'duty.reported'
  | 'duty.returned'
  | 'duty.confirmed'
  | 'duty.overdue'
  | 'order.issued'
  | 'order.evidence'
  | 'order.ratified'
  | 'order.reviewed'
  | 'order.supplemented'
  | 'order.acknowledged'
  | 'order.lowered'
  | 'order.lifted'
  | 'order.lapsed'
  | 'order.review_overdue'
  | 'order.objected'
  | 'dispute.overdue'
  | 'dispute.decided'
  | 'incident.opened'
  | 'incident.corrected'
  | 'incident.linked'
  | 'incident.unlinked'
  | 'incident.found'
  | 'incident.reported'
  | 'incident.overdue'
  | 'incident.resolved'
  | 'incident.reopened'
  | 'incident.exported'
  | 'notice.acknowledged'
  | 'notice.undelivered'
  | 'notice.replayed'
  | 'action.denied'
  | 'audit.read'
  | 'audit.exported'
  | 'log.key_rotated'
  | 'log.watched'
  | 'log.checkpoint_refused'
  | 'log.split_view'
  | 'log.behind'
  | 'log.pruned'
  | 'audit.export_resumed'
  | 'audit.export_completed'
  | 'audit.reported'
  | 'transcript.opened'
  | 'transcript.destroyed'
  | 'system.initialised'
  | 'system.started'
  | 'system.stopped'
  | 'system.recovered';

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** Who did it: a named person, or the broker itself. */
export type EntryActor = { person: string; lab: string; roles: string[] } | { system: 'broker' };

/** An entry before the log has given it a place. Times are epoch milliseconds. */
export interface EntryDraft {
  id: string;
  kind: EntryKind;
  at: number;
  actor: EntryActor;
  /** Pairs entries that belong together: a request's, grant's, order's or token's id. */
  ref?: string | undefined;
  /** The partner lab concerned. */
  lab?: string | undefined;
  /** The person concerned, who need not be the actor. */
  person?: string | undefined;
  grant?: string | undefined;
  grantVersion?: number | undefined;
  token?: string | undefined;
  purpose?: string | undefined;
  run?: string | undefined;
  endpoint?: string | undefined;
  model?: string | undefined;
  operation?: string | undefined;
  decision?: 'allowed' | 'denied' | undefined;
  reason?: DenialCode | undefined;
  orders?: string[] | undefined;
  data?: { [key: string]: Json | undefined } | undefined;
}

/** Where the log put the entry. */
export interface EntryPlace {
  /** The log's origin, as in its checkpoints. */
  log: string;
  index: number;
  /** Epoch milliseconds at which the writer appended it. */
  committedAt: number;
  /** Id of the host lab. */
  host: string;
}

/** An entry before the log has given it a place, as JSON but for what its place adds. */
export interface WrittenEntry extends Pick<EntryDraft, 'id' | 'kind' | 'at'> {
  /** What it is found by. */
  ref: string | undefined;
  lab: string | undefined;
  person: string | undefined;
  grant: string | undefined;
  /** Its members from `actor` to `data`. */
  members: string;
}

/** The members of an object as JSON, without the braces. */
export const jsonMembers = (object: object): string => JSON.stringify(object).slice(1, -1);

/** Joins members as JSON; what has none is left out. */
export const joinMembers = (...members: string[]): string =>
  members.filter((some) => some !== '').join(',');

/** Writes what an entry says, in the order in which entries say it. */
export function writeEntry(draft: EntryDraft): WrittenEntry {
  const { id, kind, at, ref, lab, person, grant } = draft;
  const members = jsonMembers({
    actor: draft.actor,
    ref,
    lab,
    person,
    grant,
    grantVersion: draft.grantVersion,
    token: draft.token,
    purpose: draft.purpose,
    run: draft.run,
    endpoint: draft.endpoint,
    model: draft.model,
    operation: draft.operation,
    decision: draft.decision,
    reason: draft.reason,
    orders: draft.orders,
    data: draft.data,
  });
  return { id, kind, at, ref, lab, person, grant, members };
}

/** The exact bytes of an entry that are stored, hashed and exported. One line: JSON escapes newlines. */
export function serialiseEntry(entry: WrittenEntry, place: EntryPlace): Buffer {
  const at = new Date(entry.at).toISOString();
  const committedAt = new Date(place.committedAt).toISOString();
  const { log, index, host } = place;
  const head = `{"v":${ENTRY_SCHEMA_VERSION},"log":${JSON.stringify(log)},"index":${index}`;
  const what = `"id":"${entry.id}","kind":"${entry.kind}","at":"${at}","committedAt":"${committedAt}"`;
  return Buffer.from(`${head},${what},"host":${JSON.stringify(host)},${entry.members}}`, 'utf8');
}
