/** Grants: from draft to end. */
import { createHash } from 'node:crypto';
import type { Action } from '../core/authority.ts';
import { RefusedError, refusal } from '../core/denials.ts';
import type { Grant, GrantSpec, GrantStep } from '../core/grants.ts';
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

export async function amendGrant(
  broker: Broker,
  actorId: string,
  grantId: string,
  spec: GrantSpec,
): Promise<Grant> {
  await mustBeOffered(broker, actorId, 'grant.amend', spec, grantId);
  return broker.store.write('amendGrant', {
    by: by(broker, actorId),
    grantId,
    spec,
    termsDigest: digestOfTerms(spec),
  });
}

export interface StepInput {
  version?: number | undefined;
  comment?: string | undefined;
  termsDigest?: string | undefined;
}

const OPERATION_OF = {
  submit: 'submitGrant',
  return: 'returnGrant',
  approve: 'approveGrant',
  reject: 'rejectGrant',
  accept: 'acceptGrant',
  revoke: 'revokeGrant',
  close: 'closeGrant',
} as const satisfies Record<Exclude<GrantStep, 'amend'>, string>;

/** Takes one step of a grant. When it returns, the step is in force: also for streams that are running. */
export function stepGrant(
  broker: Broker,
  actorId: string,
  grantId: string,
  step: Exclude<GrantStep, 'amend'>,
  input: StepInput,
): Promise<Grant> {
  return broker.store.write(OPERATION_OF[step], { by: by(broker, actorId), grantId, ...input });
}

/** A grant can name only what the configuration offers. @throws RefusedError after the refusal was recorded */
async function mustBeOffered(
  broker: Broker,
  actorId: string,
  action: Action,
  spec: GrantSpec,
  grantId?: string,
): Promise<void> {
  const problem = notOffered(broker, spec);
  if (problem === undefined) return;
  const why = refusal('invalid_request', problem, { param: 'endpoints' });
  await recordDenial(broker, actorId, action, why, grantId);
  throw new RefusedError(why);
}

function notOffered({ endpoints }: Broker, spec: GrantSpec): string | undefined {
  for (const { endpoint: id, models } of spec.endpoints) {
    const endpoint = endpoints.get(id);
    if (!endpoint)
      return `There is no endpoint "${id}". There are: ${[...endpoints.keys()].join(', ')}.`;
    const missing = models.filter((model) => !endpoint.models.includes(model));
    if (missing.length > 0)
      return `The endpoint "${id}" does not offer ${missing.join(', ')}. It offers: ${endpoint.models.join(', ')}.`;
  }
  return undefined;
}
