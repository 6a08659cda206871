/** Grants: from draft to end. */
import { createHash } from 'node:crypto';
import type { Action } from '../core/authority.ts';
import { RefusedError, refusal } from '../core/denials.ts';
import { notOffered } from '../core/offered.ts';
import type { GrantStep } from '../core/grant-steps.ts';
import type { Grant, GrantSpec } from '../core/grants.ts';
import { mintId } from '../lib/ids.ts';
import type { Broker } from './broker.ts';
import { by } from './by.ts';
import { recordDenial } from './deny-action.ts';

/** What acceptances refer to: SHA-256 over the text of the terms, hex. */
export function digestOfTerms(spec: Pick<GrantSpec, 'terms'>): string {
  return createHash('sha256').update(spec.terms.text, 'utf8').digest('hex');
}

export async function createGrant(
  broker: Broker,
  actorId: string,
  spec: GrantSpec,
): Promise<Grant> {
  await mustBeOffered(broker, actorId, 'grant.create', spec);
  const who = by(broker, actorId);
  return broker.store.write('createGrant', {
    by: who,
    id: mintId('grt', who.at),
    spec,
    termsDigest: digestOfTerms(spec),
  });
}

/**
 * Gives a grant a new text. When it returns, what only narrows is in force: also for streams that are running.
 *
 * @param ifMatch the revisions that may be changed; undefined: whichever there is
 */
export async function amendGrant(
  broker: Broker,
  actorId: string,
  grantId: string,
  spec: GrantSpec,
  ifMatch?: readonly string[],
): Promise<Grant> {
  await mustBeOffered(broker, actorId, 'grant.amend', spec, grantId);
  return broker.store.write('amendGrant', {
    by: by(broker, actorId),
    grantId,
    ifMatch,
    spec,
    termsDigest: digestOfTerms(spec),
  });
}

export interface StepInput {
  version?: number | undefined;
  grounds?: string | undefined;
  comment?: string | undefined;
  termsDigest?: string | undefined;
  /** For `approve`: the narrower text that is approved in place of the one under review. */
  spec?: GrantSpec | undefined;
}

const OPERATION_OF = {
  submit: 'submitGrant',
  return: 'returnGrant',
  approve: 'approveGrant',
  reject: 'rejectGrant',
  withdraw: 'withdrawGrant',
  accept: 'acceptGrant',
  revoke: 'revokeGrant',
  close: 'closeGrant',
} as const satisfies Record<GrantStep, string>;

/** Takes one step of a grant. When it returns, the step is in force: also for streams that are running. */
export async function stepGrant(
  broker: Broker,
  actorId: string,
  grantId: string,
  step: GrantStep,
  { spec, ...input }: StepInput,
  ifMatch?: readonly string[],
): Promise<Grant> {
  if (spec) await mustBeOffered(broker, actorId, `grant.${step}`, spec, grantId);
  const narrowed = spec && { spec, termsDigest: digestOfTerms(spec) };
  const target = { by: by(broker, actorId), grantId, ifMatch };
  return broker.store.write(OPERATION_OF[step], { ...target, ...input, narrowed });
}

/** Records that a grant was reviewed and goes on. */
export function reviewGrant(
  broker: Broker,
  actorId: string,
  grantId: string,
  grounds: string,
  ifMatch?: readonly string[],
): Promise<Grant> {
  const target = { by: by(broker, actorId), grantId, ifMatch };
  return broker.store.write('reviewGrant', { ...target, grounds });
}

/** Puts a person on the roster of a grant. @param until epoch milliseconds; null: as long as the grant lasts */
export function addPersonToGrant(
  broker: Broker,
  actorId: string,
  grantId: string,
  { personId, until }: { personId: string; until: number | null },
  ifMatch?: readonly string[],
): Promise<Grant> {
  const target = { by: by(broker, actorId), grantId, ifMatch };
  return broker.store.write('addPersonToGrant', { ...target, personId, until });
}

/** Takes a person off the roster of a grant. When it returns, nothing passes for them under it. */
export function takePersonOffGrant(
  broker: Broker,
  actorId: string,
  grantId: string,
  personId: string,
  ifMatch?: readonly string[],
): Promise<Grant> {
  const target = { by: by(broker, actorId), grantId, ifMatch };
  return broker.store.write('takePersonOffGrant', { ...target, personId });
}

/** A grant can name only what the configuration offers. @throws RefusedError after the refusal was recorded */
async function mustBeOffered(
  broker: Broker,
  actorId: string,
  action: Action,
  spec: GrantSpec,
  grantId?: string,
): Promise<void> {
  const problem = notOffered([...broker.endpoints.values()], spec);
  if (problem === undefined) return;
  const why = refusal('invalid_request', problem, { param: 'endpoints' });
  await recordDenial(broker, actorId, action, why, grantId);
  throw new RefusedError(why);
}
