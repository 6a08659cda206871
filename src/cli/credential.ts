/** How a command shows a broker who asks: with a key that the broker knows, or with the word of one's own lab. */
import type { KeyObject } from 'node:crypto';
import type { Clock } from '../lib/clock.ts';
import { ASSERTION_TYPE, signClientAssertion } from './client-assertion.ts';

const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer';

type Form = Record<string, string>;

export interface Credential {
  /** Parameters of one request for a token: the grant type, and what proves who asks. @throws CliError */
  tokenForm(clock: Clock): Promise<Form>;
  /**
   * Parameters that authenticate a client in one request of another kind. Undefined for somebody whose lab
   * vouches for them: its word is good for a token and nothing else.
   */
  clientForm(clock: Clock): Promise<Form | undefined>;
}

/** Somebody whose public key the broker knows (RFC 7523, section 2.2). Each request gets an assertion of its own. */
export function ownKey(key: KeyObject, person: string, issuer: string): Credential {
  const clientForm = async (clock: Clock): Promise<Form> => ({
    client_assertion_type: ASSERTION_TYPE,
    client_assertion: await signClientAssertion(key, person, issuer, clock()),
  });
  return {
    clientForm,
    tokenForm: async (clock) => ({
      grant_type: 'client_credentials',
      ...(await clientForm(clock)),
    }),
  };
}

/**
 * Somebody whose lab vouches for them (RFC 7523, section 2.1).
 *
 * @param ask gets an assertion from the lab: each is good for one request
 */
export function vouchedFor(ask: () => Promise<string>): Credential {
  return {
    clientForm: () => Promise.resolve(undefined),
    tokenForm: async () => ({ grant_type: JWT_BEARER, assertion: await ask() }),
  };
}
