/** Labs and the people in them. */
import { z } from 'zod';
import { octetsOf } from './base64url.ts';

export const labKindSchema = z.enum(['host', 'partner', 'auditor']);
/** The host runs this broker and grants; partners are granted to; an auditor lab belongs to neither. */
export type LabKind = z.infer<typeof labKindSchema>;

export const roleSchema = z.enum(['admin', 'safety', 'executive', 'auditor', 'lead', 'researcher']);
export type Role = z.infer<typeof roleSchema>;

/** Which roles a person of each kind of lab can hold. A partner's people never count for the host. */
export const ROLES_OF_LAB: Record<LabKind, readonly Role[]> = {
  host: ['admin', 'safety', 'executive', 'auditor', 'researcher'],
  partner: ['lead', 'safety', 'researcher', 'auditor'],
  auditor: ['auditor'],
};

/** A name for people to read: no control characters, and nothing at its ends that the eye cannot see. */
export const nameSchema = z
  .string()
  .min(1, 'must not be empty')
  .max(120)
  .regex(/^[^\p{C}]*$/u, 'must not hold control characters')
  .refine((name) => name.trim() === name, 'must not begin or end with space');

/**
 * What is the same for names that people would take for one: differences of case, of spaces and of how
 * Unicode writes a letter do not count.
 */
export function nameKey(name: string): string {
  // By way of upper case, which is what makes "ß" and "ss" the same.
  const folded = name.normalize('NFKC').toUpperCase().toLowerCase().normalize('NFKC');
  return folded.replaceAll(/[\p{Z}\s]+/gu, ' ').trim();
}

/** What a fact about a person is called. */
export const attributeNameSchema = z
  .string()
  .regex(/^[A-Za-z][A-Za-z0-9_.-]{0,63}$/, 'takes letters, digits, _ . -');

/** The most attributes that a person has. */
export const MAX_ATTRIBUTES = 32;

/** New values of attributes, and when they end (epoch milliseconds; null: never); null: it is taken away. */
export type AttributeChanges = Record<string, { value: string; until: number | null } | null>;

/** Where the value of an attribute comes from. */
export interface AttributeSet {
  /** Who set it; null: nobody, it came with the first admin. */
  by: string | null;
  /** Epoch milliseconds. */
  at: number;
}

/** The same for all attributes that somebody begins with. */
export const allSet = (
  attributes: Record<string, string>,
  set: AttributeSet,
): Record<string, AttributeSet> =>
  Object.fromEntries(Object.keys(attributes).map((name) => [name, set]));

/** Prose that goes into the record. */
export const proseSchema = z.string().trim().min(1).max(4_000);

const usableFor = { use: z.literal('sig').optional(), kid: z.string().min(1).max(200).optional() };
const octets = z
  .string()
  .regex(/^[A-Za-z0-9_-]{1,1400}$/, 'must be base64url')
  .refine((text) => octetsOf(text), 'must be base64url without stray bits at its end');

/** A coordinate has the length that its curve gives it (RFC 7518, section 6.2.1.2). */
const coordinate = (bytes: number) =>
  octets.refine((text) => octetsOf(text)?.length === bytes, `must be ${bytes} bytes in base64url`);

const ecKey = <C extends string, A extends string>(crv: C, alg: A, bytes: number) =>
  z.strictObject({
    ...usableFor,
    kty: z.literal('EC'),
    crv: z.literal(crv),
    x: coordinate(bytes),
    y: coordinate(bytes),
    alg: z.literal(alg).optional(),
  });

/** A public key that a lab signs with (RFC 7517). A private part is refused, so that nobody hands us one. */
export const labKeySchema = z
  .discriminatedUnion('kty', [
    z.strictObject({
      ...usableFor,
      kty: z.literal('OKP'),
      crv: z.literal('Ed25519'),
      x: coordinate(32),
      alg: z.enum(['EdDSA', 'Ed25519']).optional(),
    }),
    z.discriminatedUnion('crv', [
      ecKey('P-256', 'ES256', 32),
      ecKey('P-384', 'ES384', 48),
      ecKey('P-521', 'ES512', 66),
    ]),
    z.strictObject({
      ...usableFor,
      kty: z.literal('RSA'),
      // 2048 bits and more.
      n: octets.refine((text) => text.length >= 342, 'must be an RSA key of at least 2048 bits'),
      e: octets,
      alg: z.enum(['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512']).optional(),
    }),
  ])
  .describe('A public key as a JWK: Ed25519, ECDSA or RSA');

export type LabKey = z.infer<typeof labKeySchema>;

/** Where a lab's own assertions come from, and the keys that they are checked with (RFC 7523). */
export interface LabIdentity {
  /** `iss` of the lab's assertions. No two labs share one. */
  issuer: string;
  /** Exactly one of these two. */
  jwks?: { keys: LabKey[] } | undefined;
  jwksUrl?: string | undefined;
  /** When it was registered, epoch milliseconds: what was checked against an older one is checked again. */
  setAt: number;
}

export interface Lab {
  id: string;
  kind: LabKind;
  name: string;
  createdAt: number;
  /** Null where the lab does not sign for its people: they have keys of their own. */
  identity: LabIdentity | null;
}

/** What a person's own lab calls them: `sub` of its assertions. */
export const subjectSchema = z
  .string()
  .min(1)
  .max(255)
  .regex(/^[\x21-\x7e]+$/, 'takes printable ASCII without spaces');

/** An Ed25519 public key of a person (RFC 8037 JWK). `kid` is its RFC 7638 thumbprint. */
interface PersonKey {
  kid: string;
  x: string;
  addedAt: number;
}

export interface Person {
  id: string;
  labId: string;
  name: string;
  roles: Role[];
  /** Facts about the person. What has ended is taken out (store/operations/person-facts.ts). */
  attributes: Record<string, string>;
  /** When some of them end, epoch milliseconds. */
  attributesUntil: Record<string, number>;
  /** Who gave them the value that they have, and when. */
  attributesSet: Record<string, AttributeSet>;
  /** What their own lab calls them in its assertions; null: their id here. */
  subject: string | null;
  /** Keys in use; removed ones are not listed. */
  keys: PersonKey[];
  createdAt: number;
  /** Set once the person may do nothing any more. */
  removedAt: number | null;
}

/** A person together with their lab: what authority and access are decided on. */
export interface Member {
  person: Person;
  lab: Lab;
}

/** An Ed25519 public JWK as it comes from outside. A private part is refused, so that nobody hands us one. */
export const publicKeySchema = z
  .strictObject({
    kty: z.literal('OKP'),
    crv: z.literal('Ed25519'),
    // 43 characters hold two bits more than the key has: with any other last one, it would have another `kid`, too.
    x: z
      .string()
      .regex(
        /^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$/,
        'must be 32 bytes in base64url, without stray bits at its end',
      ),
    kid: z.string().max(200).optional(),
    alg: z.enum(['EdDSA', 'Ed25519']).optional(),
    use: z.literal('sig').optional(),
  })
  .describe('An Ed25519 public key as a JWK (RFC 8037)');

export type PublicKey = z.infer<typeof publicKeySchema>;
