/** Notices: what those concerned are told, wherever and however it reaches them. */
import type { Json } from './audit/entry.ts';
import type { Reach } from './authority.ts';
import type { Member } from './people.ts';

/** What can be told. */
export const NOTICE_KINDS = [
  'grant.submitted',
  'grant.returned',
  'grant.approved',
  'grant.rejected',
  'grant.withdrawn',
  'grant.activated',
  'grant.amended',
  'grant.narrowed',
  'grant.terms_changed',
  'grant.review_due',
  'grant.review_missed',
  'grant.ended',
  'person.roles_changed',
  'person.attributes_changed',
  'person.attribute_ending',
  'person.attribute_ended',
  'duty.begun',
  'duty.due',
  'duty.overdue',
  'duty.reported',
  'duty.returned',
  'duty.done',
  'order.issued',
  'order.ratified',
  'order.reviewed',
  'order.supplemented',
  'order.lapsing',
  'order.lapsed',
  'order.review_due',
  'order.review_overdue',
  'order.lifted',
  'order.lowered',
  'dispute.filed',
  'dispute.overdue',
  'dispute.decided',
  'incident.opened',
  'incident.deadline',
  'incident.overdue',
  'incident.reported',
  'incident.resolved',
  'incident.reopened',
  'log.key_rotated',
  'log.split_view',
  'log.behind',
  'log.archived',
  'log.pruned',
] as const;

export type NoticeKind = (typeof NOTICE_KINDS)[number];

/** Something to tell. The store makes a notice of it for each of `to`. */
export interface NoticeDraft {
  kind: NoticeKind;
  /** Id of what it is about. */
  ref: string;
  /** Epoch milliseconds. */
  at: number;
  /** Labs whose people who answer for them are told, and single people. No secret and no evidence goes into a notice. */
  to: { labId: string; personId?: string | undefined }[];
  /** One sentence that says what happened and what to do. */
  title: string;
  data?: Record<string, Json> | undefined;
}

export interface Notice {
  id: string;
  at: number;
  kind: NoticeKind;
  ref: string;
  labId: string;
  personId: string | null;
  title: string;
  data: Record<string, Json>;
}

/** Whether a member may read a notice: what is addressed to one person, only whoever sees all of it and they themselves. */
export function maySee(
  reach: Reach,
  { person, lab }: Member,
  { labId, personId }: Pick<Notice, 'labId' | 'personId'>,
): boolean {
  switch (reach) {
    case 'all':
      return true;
    case 'lab':
      return labId === lab.id && (personId === null || personId === person.id);
    case 'self':
      return personId === person.id;
  }
}

/**
 * Whether it is for this member to say that they have taken note. Auditor labs stand beside the host in that.
 *
 * @param hostLabId the host lab
 */
export function isAddressedTo(
  { person, lab }: Member,
  { labId, personId }: Pick<Notice, 'labId' | 'personId'>,
  hostLabId: string,
): boolean {
  if (personId !== null) return personId === person.id;
  return labId === lab.id || (lab.kind === 'auditor' && labId === hostLabId);
}
