/** JWTs made by hand, for tests: a library would refuse to make the bad ones. */
import { createHmac, sign, type KeyObject } from 'node:crypto';

export type Members = Record<string, unknown>;
/** Makes the signature over the first two parts. */
export type Signer = (input: Buffer) => Buffer;

export const noSignature: Signer = () => Buffer.alloc(0);

/** With a private key of ours, by the JWS algorithm of its kind. */
export const signedWith =
  (key: KeyObject): Signer =>
  (input) => {
    if (key.asymmetricKeyType === 'ed25519') return sign(null, input, key);
    return sign('sha256', input, { key, dsaEncoding: 'ieee-p1363' });
  };

/** HS256, keyed with what everybody can know. */
export const macWith =
  (secret: string | Uint8Array): Signer =>
  (input) =>
    createHmac('sha256', secret).update(input).digest();

/** A JWT of exactly these parts. @param payload an object, or a text to stand as it is */
export function forgeJwt(header: Members, payload: Members | string, signer: Signer): string {
  const text = typeof payload === 'string' ? payload : JSON.stringify(payload);
  const input = [JSON.stringify(header), text]
    .map((part) => Buffer.from(part).toString('base64url'))
    .join('.');
  return `${input}.${signer(Buffer.from(input)).toString('base64url')}`;
}
