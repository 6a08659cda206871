/** Reasons for which something is refused that people do to grants, orders, people and what follows from them. */
import { later, no, type Denial } from './denial.ts';

export const CONTROL_DENIALS = {
  // Rules of grants and orders
  not_found: no(404, 'not_found_error', 'There is no such thing, or you may not see it.'),
  already_exists: no(409, 'invalid_request_error', 'That exists already.'),
  illegal_transition: no(
    409,
    'invalid_request_error',
    'The state of the grant does not allow this step.',
  ),
  stale_version: no(
    412,
    'invalid_request_error',
    'It has changed since you read it. Read it again, and decide on what it says now.',
  ),
  not_narrower: no(
    409,
    'invalid_request_error',
    'Whoever approves may only narrow. Return the grant to its author for anything else.',
  ),
  author_may_not_decide: no(403, 'permission_error', 'The author of a grant may not decide on it.'),
  already_decided: no(409, 'invalid_request_error', 'You have decided on this version already.'),
  approval_not_needed: no(
    409,
    'invalid_request_error',
    'The approval that your role can give has been given. Another role is needed.',
  ),
  confirmation_needed: no(
    409,
    'invalid_request_error',
    'That would stop everything. Confirm that it is meant.',
  ),
  too_many_notices: no(
    409,
    'invalid_request_error',
    'This person has as many notices in force as one may have.',
  ),
  order_not_in_force: no(409, 'invalid_request_error', 'The order is not in force.'),
  second_person_needed: no(
    403,
    'permission_error',
    'Whoever issued an order may not lift it. Another person must.',
  ),
  export_over: no(
    410,
    'not_found_error',
    'This export cannot be resumed any more: its time is over, or the broker makes such exports in another way since. Export again.',
  ),
  entry_archived: no(
    410,
    'not_found_error',
    'The entry was archived and is not in this broker any more. "sallyport audit archives" says which archive has it.',
  ),
  not_prunable: no(
    409,
    'invalid_request_error',
    'Retention does not allow that. "sallyport audit retention" says what it allows, and what holds entries back.',
  ),
  range_not_satisfiable: no(416, 'invalid_request_error', 'There is nothing at that position.'),
  incident_state: no(
    409,
    'invalid_request_error',
    'The state of the incident does not allow this step. See it with "sallyport incident show".',
  ),
  incident_clock: no(
    409,
    'invalid_request_error',
    'The moments of an incident follow each other, and its deadlines never get later.',
  ),
  unknown_log: no(404, 'not_found_error', 'This broker is no witness of that log.'),
  checkpoint_not_signed: no(
    403,
    'permission_error',
    'No key that is known here for that log signed the checkpoint.',
  ),
  checkpoint_inconsistent: no(
    422,
    'invalid_request_error',
    'The proof does not show that the checkpoint continues what this broker knows of that log.',
  ),
  too_many_calls: later(
    429,
    'rate_limit_error',
    'This address has called too often of late. Come back in a minute.',
  ),
  notice_of_others: no(
    403,
    'permission_error',
    'The notice is addressed to somebody else: only they can acknowledge it.',
  ),
  transcript_held: no(
    409,
    'invalid_request_error',
    'An incident that is not closed holds these transcripts.',
  ),
  transcript_damaged: no(
    500,
    'api_error',
    'What is stored of the transcript is not what its entry says: it was changed since. Tell the host lab.',
  ),

  last_admin: no(
    409,
    'invalid_request_error',
    'This is the last admin of the host lab. Register another one first.',
  ),
  own_roles: no(
    403,
    'permission_error',
    'Nobody changes their own roles. Ask another admin, or the lead of your lab.',
  ),
  attribute_under_order: no(
    403,
    'permission_error',
    'An order in force is about this attribute: as long as it is, only the host lab changes it.',
  ),
} as const satisfies Record<string, Denial>;
