/** What a lab registers to sign for its own people (RFC 7523): its issuer, and its keys or where they are. */
import { z } from 'zod';
import { refusal, type Refusal } from './denials.ts';
import { isLoopback } from './loopback.ts';
import { labKeySchema, type LabIdentity } from './people.ts';

/** URLs are compared as text wherever they count, so that what cannot be in an issuer is refused at once. */
const urlSchema = z
  .string()
  .max(500)
  .refine((text) => URL.canParse(text) && /^https?:$/.test(new URL(text).protocol), {
    error: 'must be an https:// URL',
    abort: true,
  })
  .refine((text) => {
    const { username, password } = new URL(text);
    return username === '' && password === '' && !/[#\s]/.test(text);
  }, 'must have no user, password, fragment or space');

/** An issuer identifier (RFC 8414, section 2). */
export const issuerSchema = urlSchema.refine((text) => !text.includes('?'), 'must have no query');

export const labIdentitySchema = z
  .strictObject({
    issuer: issuerSchema.describe("`iss` of the lab's assertions, character by character"),
    jwks: z
      .strictObject({ keys: z.array(labKeySchema).min(1).max(16) })
      .optional()
      .describe('The public keys themselves (RFC 7517); each with a kid where there are several'),
    jwksUrl: urlSchema.optional().describe('Where the lab publishes its public keys'),
  })
  .superRefine(({ jwks, jwksUrl }, context) => {
    const fail = (path: string, message: string): void =>
      context.addIssue({ code: 'custom', path: [path], message });
    if ((jwks === undefined) === (jwksUrl === undefined))
      fail('jwks', 'and "jwksUrl" exclude each other: give exactly one of them');
    const keys = jwks?.keys ?? [];
    if (keys.length > 1 && keys.some(({ kid }) => kid === undefined))
      fail('jwks', 'must give each of several keys a kid');
    // Only a type tells keys of one kid apart (RFC 7517, section 4.5).
    const names = new Set(keys.map(({ kty, kid }) => `${kty} ${kid ?? ''}`));
    if (names.size < keys.length) fail('jwks', 'must not give two keys of one type the same kid');
  });

export type IdentityInput = z.infer<typeof labIdentitySchema>;

/** Whether two issuers, or any two URLs, lead to the same place, however they are written. */
export function isSameUrl(one: string, other: string): boolean {
  return new URL(one).href.replace(/\/$/, '') === new URL(other).href.replace(/\/$/, '');
}

/**
 * Why an identity cannot be registered, or undefined.
 *
 * @param rules.issuer the broker's own issuer
 * @param rules.allowInsecureLoopback whether http:// is taken to the loopback interface
 * @param others the identities of the other labs
 */
export function refusalOfIdentity(
  identity: IdentityInput,
  rules: { issuer: string; allowInsecureLoopback: boolean },
  others: readonly Pick<LabIdentity, 'issuer'>[],
): Refusal | undefined {
  for (const param of ['issuer', 'jwksUrl'] as const) {
    const url = identity[param];
    if (url !== undefined && !isTrustworthyUrl(url, rules.allowInsecureLoopback)) {
      const message = `"${param}" must be https. http is only for brokers on the same machine, where the configuration says "federation: { allowInsecureLoopback: true }".`;
      return refusal('invalid_request', message, { param });
    }
  }
  if (isSameUrl(identity.issuer, rules.issuer)) {
    const message = 'This is the issuer of this broker: no other lab can sign in its name.';
    return refusal('invalid_request', message, { param: 'issuer' });
  }
  if (others.some(({ issuer }) => isSameUrl(issuer, identity.issuer))) {
    const message = 'Another lab is registered with this issuer. No two labs share one.';
    return refusal('already_exists', message, { param: 'issuer' });
  }
  return undefined;
}

/** Whether what is fetched from a URL, or sent to it, is safe from others on the way. */
export function isTrustworthyUrl(url: string, allowInsecureLoopback: boolean): boolean {
  const { protocol, hostname } = new URL(url);
  return protocol === 'https:' || (allowInsecureLoopback && isLoopback(hostname));
}
