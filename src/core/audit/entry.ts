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
  | 'person.key_added'
  | 'person.key_removed'
  | 'grant.created'
  | 'grant.amended'
  | 'grant.submitted'
  | 'grant.returned'
  | 'grant.approved'
  | 'grant.rejected'
  | 'grant.terms_accepted'
  | 'grant.revoked'
  | 'grant.closed'
  | 'order.issued'
  | 'order.lifted'
  | 'action.denied'
  | 'audit.read'
  | 'audit.exported'
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

/**
 * Serialises an entry to the exact bytes that are stored, hashed and exported. One line: JSON escapes newlines.
 * Written out field by field: twice for each request, and an object of one shape is written in half the time.
 */
export function serialiseEntry(draft: EntryDraft, place: EntryPlace): Buffer {
  return Buffer.from(
    JSON.stringify({
      v: ENTRY_SCHEMA_VERSION,
      log: place.log,
      index: place.index,
      id: draft.id,
      kind: draft.kind,
      at: new Date(draft.at).toISOString(),
      committedAt: new Date(place.committedAt).toISOString(),
      host: place.host,
      actor: draft.actor,
      ref: draft.ref,
      lab: draft.lab,
      person: draft.person,
      grant: draft.grant,
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
    }),
    'utf8',
  );
}
