/** Every whole operation of the store, by the name it is called with across the thread boundary. */
import { endRun } from './end-run.ts';
import {
  acceptGrant,
  approveGrant,
  closeGrant,
  rejectGrant,
  returnGrant,
  revokeGrant,
  submitGrant,
  withdrawGrant,
} from './grant-steps.ts';
import { amendGrant, createGrant } from './grants.ts';
import { doDue, putOffDue } from './agenda.ts';
import { recordAssertion } from './assertions.ts';
import { createLab, initialise, removeLabIdentity, setLabIdentity } from './labs.ts';
import { changeIncident, openIncident, reportIncident } from './incidents.ts';
import { recordIncidentExport } from './export-incident.ts';
import { recordForwarded } from './forwarding.ts';
import { handBackAccess } from './hand-back.ts';
import { invitePerson, withdrawInvitation } from './invitations.ts';
import { confirmDuty, reportDuty, returnDuty } from './duties.ts';
import { addPersonToGrant, takePersonOffGrant } from './grant-roster.ts';
import { reviewGrant } from './grant-review.ts';
import { joinByInvitation } from './join.ts';
import { limiterState } from './limiter-state.ts';
import { coverEntry } from './cover-entry.ts';
import { rotateLogKey } from './log-key.ts';
import { recordExport } from './exports.ts';
import { recordGrantReport, recordRunReport } from './reports.ts';
import {
  catchUp,
  probe,
  publishCheckpoint,
  recordEntry,
  removePruned,
  shrinkOldIndexes,
} from './log.ts';
import { recordArchive, recordPruning } from './retention.ts';
import { lowerOrder } from './lower-order.ts';
import { acknowledgeNotice, forgetDelivered, recordAttempt, replayDeliveries } from './notices.ts';
import type { Operation } from './operation.ts';
import { issueOrder, liftOrder, ratifyOrder, reviewOrder, supplementOrder } from './orders.ts';
import { acknowledgeOrder, decideDispute, objectToOrder } from './disputes.ts';
import { addPersonKey, createPerson, removePerson, removePersonKey } from './people.ts';
import { setPersonAttributes, setPersonRoles } from './person-facts.ts';
import { keepSplitView } from './split-views.ts';
import { watchCheckpoint } from './watch.ts';
import { keepCosignature, noteBehind } from './witnesses.ts';
import { recoverUnfinished, reserve, settle } from './requests.ts';
import { revokeTokens } from './revoke-tokens.ts';
import { noteTokenUse } from './token-use.ts';
import {
  advanceSigningKeys,
  openSigningKeys,
  retireSigningKey,
  rotateSigningKeys,
} from './signing-keys.ts';
import { denyToken, issueToken, revokeToken } from './tokens.ts';
import {
  checkTranscripts,
  destroyDueTranscripts,
  destroyTranscripts,
  finishDestruction,
  openTranscript,
} from './transcripts.ts';
import { consume, forgetUsed } from './used-once.ts';

export const OPERATIONS = {
  initialise,
  createLab,
  setLabIdentity,
  removeLabIdentity,
  recordAssertion,
  createPerson,
  removePerson,
  addPersonKey,
  removePersonKey,
  setPersonRoles,
  setPersonAttributes,
  invitePerson,
  withdrawInvitation,
  joinByInvitation,
  createGrant,
  amendGrant,
  submitGrant,
  returnGrant,
  approveGrant,
  rejectGrant,
  withdrawGrant,
  acceptGrant,
  revokeGrant,
  closeGrant,
  reviewGrant,
  addPersonToGrant,
  takePersonOffGrant,
  reportDuty,
  confirmDuty,
  returnDuty,
  issueOrder,
  ratifyOrder,
  reviewOrder,
  supplementOrder,
  lowerOrder,
  liftOrder,
  acknowledgeOrder,
  objectToOrder,
  decideDispute,
  openIncident,
  changeIncident,
  reportIncident,
  recordIncidentExport,
  issueToken,
  denyToken,
  consume,
  revokeToken,
  revokeTokens,
  endRun,
  handBackAccess,
  noteTokenUse,
  forgetUsed,
  openSigningKeys,
  rotateSigningKeys,
  advanceSigningKeys,
  retireSigningKey,
  reserve,
  settle,
  recoverUnfinished,
  doDue,
  putOffDue,
  acknowledgeNotice,
  recordAttempt,
  forgetDelivered,
  replayDeliveries,
  recordEntry,
  catchUp,
  shrinkOldIndexes,
  removePruned,
  recordArchive,
  recordPruning,
  recordForwarded,
  limiterState,
  probe,
  publishCheckpoint,
  coverEntry,
  recordExport,
  rotateLogKey,
  keepCosignature,
  watchCheckpoint,
  noteBehind,
  keepSplitView,
  recordGrantReport,
  recordRunReport,
  openTranscript,
  checkTranscripts,
  destroyTranscripts,
  destroyDueTranscripts,
  finishDestruction,
} as const;

type Operations = typeof OPERATIONS;
export type OperationName = keyof Operations;
export type ArgsOf<N extends OperationName> =
  Operations[N] extends Operation<infer A, infer _R> ? A : never;
export type ResultOf<N extends OperationName> =
  Operations[N] extends Operation<infer _A, infer R> ? R : never;
