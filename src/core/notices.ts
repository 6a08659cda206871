/** Notices: what those concerned are told, wherever and however it reaches them. */
import type { Json } from './audit/entry.ts';

export type NoticeKind =
  | 'grant.submitted'
  | 'grant.returned'
  | 'grant.approved'
  | 'grant.rejected'
  | 'grant.withdrawn'
  | 'grant.activated'
  | 'grant.amended'
  | 'grant.narrowed'
  | 'grant.terms_changed'
  | 'grant.review_due'
  | 'grant.review_missed'
  | 'grant.ended'
  | 'duty.begun'
  | 'duty.due'
  | 'duty.overdue'
  | 'duty.done'
  | 'order.issued'
  | 'order.ratified'
  | 'order.reviewed'
  | 'order.supplemented'
  | 'order.lapsing'
  | 'order.lapsed'
  | 'order.review_due'
  | 'order.review_overdue'
  | 'order.lifted'
  | 'order.lowered'
  | 'dispute.filed'
  | 'dispute.overdue'
  | 'dispute.decided'
  | 'incident.opened'
  | 'incident.deadline'
  | 'incident.overdue'
  | 'incident.resolved';

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
