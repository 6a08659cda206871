/** Grants: from draft to end. */
import { createHash } from 'node:crypto';
import { RefusedError, refusal } from '../core/denials.ts';
import type { Grant, GrantSpec, GrantStep } from '../core/grants.ts';
import { mintId } from '../lib/ids.ts';
import type { Broker } from './broker.ts';
import { by } from './by.ts';

/** What acceptances refer to: SHA-256 over the text of the terms, hex. */
export function digestOfTerms(spec: GrantSpec): string {
  return createHash('sha256').update(spec.terms.text, 'utf8').digest('hex');
}

export function createGrant(broker: Broker, actorId: string, spec: GrantSpec): Promise<Grant> {
  mustBeOffered(broker, spec);
  const who = by(broker, actorId);
  return broker.store.write('createGrant', {
    by: who,
    id: mintId('grt', who.at),
    spec,
    termsDigest: digestOfTerms(spec),
  });
}

export function amendGrant(
  broker: Broker,
  actorId: string,
  grantId: string,
  spec: GrantSpec,
): Promise<Grant> {
  mustBeOffered(broker, spec);
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

/** A grant can name only what the configuration offers. */
function mustBeOffered(broker: Broker, spec: GrantSpec): void {
  const wrong = (message: string): never => {
    throw new RefusedError(refusal('invalid_request', message, { param: 'endpoints' }));
  };
  for (const { endpoint: id, models } of spec.endpoints) {
    const endpoint = broker.endpoints.get(id);
    if (!endpoint)
      return wrong(
        `There is no endpoint "${id}". There are: ${[...broker.endpoints.keys()].join(', ')}.`,
      );
    const missing = models.filter((model) => !endpoint.models.includes(model));
    if (missing.length > 0)
      wrong(
        `The endpoint "${id}" does not offer ${missing.join(', ')}. It offers: ${endpoint.models.join(', ')}.`,
      );
  }
}
