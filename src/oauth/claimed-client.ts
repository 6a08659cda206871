import { decodeJwt, errors } from 'jose';

/**
 * Who a token request claims to come from, before anything is proven: the name that its failures are
 * counted under. Undefined where it names nobody. By the issuer alone, as it is looked up: whatever else
 * somebody who guesses can vary at will must not make them somebody new.
 */
export function claimedClient(form: URLSearchParams): string | undefined {
  const assertion = form.get('client_assertion') ?? form.get('assertion');
  if (assertion === null) return form.get('client_id') ?? undefined;
  try {
    const { iss } = decodeJwt(assertion);
    return typeof iss === 'string' ? iss : undefined;
  } catch (error) {
    if (error instanceof errors.JWTInvalid) return undefined;
    throw error;
  }
}
