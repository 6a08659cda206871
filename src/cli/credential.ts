/** How a command shows a broker who asks: with a key that the broker knows, or with the word of one's own lab. */
import type { KeyObject } from 'node:crypto';
import type { Clock } from '../lib/clock.ts';
import { DENIALS } from '../core/denials.ts';
import { ASSERTION_TYPE, signClientAssertion } from './client-assertion.ts';
import { RefusedByBroker, type CliError } from './problems.ts';

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
  /** The same refusal of a token, in words that fit how it was asked for. */
  explain(refused: CliError): CliError;
}

/** Somebody whose public key the broker knows (RFC 7523, section 2.2). Each request gets an assertion of its own. */
export function ownKey(key: KeyObject, person: string, issuer: string): Credential {
  const clientForm = async (clock: Clock): Promise<Form> => ({
    client_assertion_type: ASSERTION_TYPE,
    client_assertion: await signClientAssertion(key, person, issuer, clock()),
  });
  return {
    explain: (refused) => refused,
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
 * @param url the broker that is to believe it
 */
export function vouchedFor(ask: () => Promise<string>, url: string): Credential {
  return {
    explain: (refused) => (isNotBelieved(refused) ? notBelieved(refused, url) : refused),
    clientForm: () => Promise.resolve(undefined),
    tokenForm: async () => ({ grant_type: JWT_BEARER, assertion: await ask() }),
  };
}

/** Whether nothing that the lab signs is believed, and not just this assertion. */
function isNotBelieved(refused: CliError): refused is RefusedByBroker {
  if (!(refused instanceof RefusedByBroker)) return false;
  const { code, detail } = refused;
  return code === 'invalid_assertion' && detail === DENIALS.invalid_assertion.text;
}

function notBelieved({ code }: RefusedByBroker, url: string): RefusedByBroker {
  const detail = `The broker at ${url} does not believe what your own lab signs for you: there, the lab has no identity, or another one than it signs with now. Ask the lab of that broker to register it`;
  return new RefusedByBroker(code, `${detail}.`, `${detail} (${code}).`);
}
