import { decodeJwt, errors } from 'jose';

/**
 * Who a token request claims to be, before anything is proven: the name that its failures are counted
 * under. Undefined where it names nobody.
 */
export function claimedClient(form: URLSearchParams): string | undefined {
  const assertion = form.get('client_assertion') ?? form.get('assertion');
  if (assertion === null) return form.get('client_id') ?? undefined;
  try {
    const { iss, sub } = decodeJwt(assertion);
    return typeof iss === 'string' ? `${iss} ${typeof sub === 'string' ? sub : ''}` : undefined;
  } catch (error) {
    if (error instanceof errors.JWTInvalid) return undefined;
    throw error;
  }
}
