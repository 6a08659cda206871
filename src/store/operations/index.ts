/** Every whole operation of the store, by the name it is called with across the thread boundary. */
import {
  acceptGrant,
  amendGrant,
  approveGrant,
  closeGrant,
  createGrant,
  rejectGrant,
  returnGrant,
  revokeGrant,
  submitGrant,
} from './grants.ts';
import { probe, publishCheckpoint, recordEntry, recordExport } from './log.ts';
import type { Operation } from './operation.ts';
import { issueOrder, liftOrder } from './orders.ts';
import {
  addPersonKey,
  createLab,
  createPerson,
  initialise,
  removePerson,
  removePersonKey,
} from './people.ts';
import { recoverUnfinished, reserve, settle } from './requests.ts';
import {
  consumeAssertion,
  denyToken,
  forgetExpiredAssertions,
  issueToken,
  revokeToken,
} from './tokens.ts';

export const OPERATIONS = {
  initialise,
  createLab,
  createPerson,
  removePerson,
  addPersonKey,
  removePersonKey,
  createGrant,
  amendGrant,
  submitGrant,
  returnGrant,
  approveGrant,
  rejectGrant,
  acceptGrant,
  revokeGrant,
  closeGrant,
  issueOrder,
  liftOrder,
  issueToken,
  denyToken,
  consumeAssertion,
  revokeToken,
  forgetExpiredAssertions,
  reserve,
  settle,
  recoverUnfinished,
  recordEntry,
  probe,
  publishCheckpoint,
  recordExport,
} as const;

type Operations = typeof OPERATIONS;
export type OperationName = keyof Operations;
export type ArgsOf<N extends OperationName> =
  Operations[N] extends Operation<infer A, infer _R> ? A : never;
export type ResultOf<N extends OperationName> =
  Operations[N] extends Operation<infer _A, infer R> ? R : never;
