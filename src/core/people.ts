/** Labs and the people in them. */
import { z } from 'zod';

export const labKindSchema = z.enum(['host', 'partner', 'auditor']);
/** The host runs this broker and grants; partners are granted to; an auditor lab belongs to neither. */
export type LabKind = z.infer<typeof labKindSchema>;

export const roleSchema = z.enum(['admin', 'safety', 'auditor', 'lead', 'researcher']);
export type Role = z.infer<typeof roleSchema>;

/** Which roles a person of each kind of lab can hold. A partner's people never count for the host. */
export const ROLES_OF_LAB: Record<LabKind, readonly Role[]> = {
  host: ['admin', 'safety', 'auditor', 'researcher'],
  partner: ['lead', 'researcher', 'auditor'],
  auditor: ['auditor'],
};

/** A name for people to read: no control characters, and nothing at its ends that the eye cannot see. */
export const nameSchema = z
  .string()
  .min(1)
  .max(120)
  .regex(/^[^\p{C}]*$/u, 'must not hold control characters')
  .refine((name) => name.trim() === name, 'must not begin or end with space');

/** Prose that goes into the record. */
export const proseSchema = z.string().trim().min(1).max(4_000);

const usableFor = { use: z.literal('sig').optional(), kid: z.string().min(1).max(200).optional() };
const base64url = z.string().regex(/^[A-Za-z0-9_-]{1,1400}$/, 'must be base64url');

/** A public key that a lab signs with (RFC 7517). A private part is refused, so that nobody hands us one. */
export const labKeySchema = z
  .discriminatedUnion('kty', [
    z.strictObject({
      ...usableFor,
      kty: z.literal('OKP'),
      crv: z.literal('Ed25519'),
      x: base64url,
      alg: z.enum(['EdDSA', 'Ed25519']).optional(),
    }),
    z.strictObject({
      ...usableFor,
      kty: z.literal('EC'),
      crv: z.enum(['P-256', 'P-384', 'P-521']),
      x: base64url,
      y: base64url,
      alg: z.enum(['ES256', 'ES384', 'ES512']).optional(),
    }),
    z.strictObject({
      ...usableFor,
      kty: z.literal('RSA'),
      // 2048 bits and more.
      n: base64url.min(342, 'must be an RSA key of at least 2048 bits'),
      e: base64url,
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
  attributes: Record<string, string>;
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
    x: z.string().regex(/^[A-Za-z0-9_-]{43}$/, 'must be 32 bytes in base64url'),
    kid: z.string().max(200).optional(),
    alg: z.enum(['EdDSA', 'Ed25519']).optional(),
    use: z.literal('sig').optional(),
  })
  .describe('An Ed25519 public key as a JWK (RFC 8037)');

export type PublicKey = z.infer<typeof publicKeySchema>;
