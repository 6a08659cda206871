/** Proofs of possession (DPoP, RFC 9449): whoever sends this request holds this key. */
import { createHash } from 'node:crypto';
import { compactVerify, errors } from 'jose';
import { z } from 'zod';
import { isSameText } from '../lib/same-text.ts';
import { proofKeyOf, type ProofKey } from './dpop-key.ts';
import { parseProofPart, refuseProof } from './dpop-part.ts';
import { SIGNATURE_ALGORITHMS } from './jwk.ts';
import { parseTargetUri } from './target-uri.ts';

/** For `dpop_signing_alg_values_supported` (RFC 8414, RFC 9449 section 5.1) and `algs` (section 7.1). */
export const DPOP_ALGORITHMS: readonly string[] = SIGNATURE_ALGORITHMS;

const LARGEST = 8 * 1024;
const COMPACT = /^([\w-]+)\.([\w-]+)\.[\w-]+$/;

/** How long a proof is good for, and how far others' clocks may be off. */
const LIFETIME_SECONDS = 60;
const SKEW_SECONDS = 30;

const NO_TARGET = 'The "htu" of a DPoP proof is an absolute http or https URI.';
const NOT_YET = 'The DPoP proof is not valid yet. Set the clock that "nbf" is taken from.';
const EXPIRED = 'The DPoP proof has expired. Make a new one for each request.';
const NONCE = 'The "nonce" of a DPoP proof is a text of 1 to 200 characters.';

const claimsSchema = z.object(
  {
    jti: z
      .string('A DPoP proof has a "jti".')
      .regex(/^[ -~]{8,200}$/, 'The "jti" of a DPoP proof is 8 to 200 characters of ASCII.'),
    htm: z.string('A DPoP proof has an "htm".'),
    htu: z.string('A DPoP proof has an "htu".'),
    iat: z.int('The "iat" of a DPoP proof is a whole number of seconds.'),
    exp: z.number('The "exp" of a DPoP proof is a number of seconds.').optional(),
    nbf: z.number('The "nbf" of a DPoP proof is a number of seconds.').optional(),
    nonce: z.string(NONCE).min(1, NONCE).max(200, NONCE).optional(),
    ath: z.unknown().optional(),
  },
  'The payload of a DPoP proof is a JSON object.',
);

type Claims = z.infer<typeof claimsSchema>;

/** The request that a proof has to be of. */
export interface ProvenRequest {
  method: string;
  /** Absolute, as the client sees it; its query and fragment do not matter. */
  url: string;
  /** The token that is presented with the proof. Absent at the token endpoint, where an `ath` says nothing. */
  accessToken?: string;
  /** Epoch milliseconds. */
  now: number;
}

export interface ProvenKey {
  /** Thumbprint of the key (RFC 7638, SHA-256), as it stands in `cnf.jkt`. */
  jkt: string;
  jti: string;
  /**
   * The last moment at which this proof is accepted, in epoch milliseconds: the `jti` has to be remembered up
   * to it and including it.
   */
  expiresAt: number;
  /** Whether it is one of ours is decided elsewhere. */
  nonce: string | undefined;
}

/**
 * Checks a proof against the request that it came with (RFC 9449, section 4.3). Not checked here: that its
 * `jti` is new, that its nonce is one of ours, and that the token is bound to its key.
 *
 * @param proof the value of the only `DPoP` header
 * @throws RefusedError `invalid_dpop_proof`; the message says which rule is broken and quotes nothing
 */
export async function verifyDpopProof(proof: string, expected: ProvenRequest): Promise<ProvenKey> {
  if (proof.length > LARGEST) return refuseProof('A DPoP proof has at most 8 KiB.');
  const [, header, payload] = COMPACT.exec(proof) ?? [];
  if (header === undefined || payload === undefined)
    return refuseProof('Send one DPoP proof, as a JWT of three parts in base64url.');
  const key = await proofKeyOf(header);
  const claims = parseProofPart(payload, claimsSchema);
  checkRequest(claims, expected);
  const expiresAt = checkTime(claims, expected.now);
  if (expected.accessToken !== undefined) checkToken(claims.ath, expected.accessToken);
  // Last, because it is dear: what fails anything else costs none.
  await checkSignature(proof, key);
  return { jkt: key.jkt, jti: claims.jti, expiresAt, nonce: claims.nonce };
}

function checkRequest({ htm, htu }: Claims, { method, url }: ProvenRequest): void {
  if (htm !== method) return refuseProof('The "htm" of the DPoP proof is not the method.');
  const target = parseTargetUri(htu);
  if (!target) return refuseProof(NO_TARGET);
  if (target.hasUserInfo) return refuseProof('The "htu" of a DPoP proof has no user information.');
  if (target.normal !== parseTargetUri(url)?.normal)
    return refuseProof('The "htu" of the DPoP proof is not the URI of the request.');
}

/** Returns until when the proof is good. */
function checkTime({ iat, exp, nbf }: Claims, now: number): number {
  if (now < (iat - SKEW_SECONDS) * 1000)
    return refuseProof('The "iat" of the DPoP proof lies in the future. Set your clock.');
  const tooOld = (iat + LIFETIME_SECONDS + SKEW_SECONDS) * 1000;
  if (now > tooOld) return refuseProof('The DPoP proof is too old. Make one for each request.');
  if (nbf !== undefined && now < (nbf - SKEW_SECONDS) * 1000) return refuseProof(NOT_YET);
  if (exp === undefined) return tooOld;
  const expired = Math.floor((exp + SKEW_SECONDS) * 1000);
  if (now > expired) return refuseProof(EXPIRED);
  return Math.min(tooOld, expired);
}

function checkToken(ath: unknown, accessToken: string): void {
  if (typeof ath !== 'string')
    return refuseProof('With an access token, a DPoP proof has its hash as "ath".');
  if (!isSameText(ath, createHash('sha256').update(accessToken).digest('base64url')))
    return refuseProof('The "ath" of the DPoP proof is not the hash of the access token.');
}

async function checkSignature(proof: string, { alg, publicKey }: ProofKey): Promise<void> {
  try {
    await compactVerify(proof, publicKey, { algorithms: [alg] });
  } catch (error) {
    if (error instanceof errors.JOSEError)
      return refuseProof('The signature of the DPoP proof is not one by its "jwk".');
    throw error;
  }
}
