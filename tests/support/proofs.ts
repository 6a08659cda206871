/** A client that binds its tokens (RFC 9449): its key, and proofs by it that are right but for what is given. */
import { createHash, generateKeyPairSync, randomUUID, type KeyObject } from 'node:crypto';
import { forgeJwt, signedWith, type Members, type Signer } from './forged-jwt.ts';
import type { TestBroker } from './test-broker.ts';

export interface ProofParts {
  /** Over those of a good proof; `undefined` leaves a member out. */
  header?: Members;
  claims?: Members;
  signer?: Signer;
}

export class ProofKey {
  readonly privateKey: KeyObject;
  readonly publicJwk: Members;
  readonly privateJwk: Members;

  constructor() {
    const { privateKey, publicKey } = generateKeyPairSync('ed25519');
    this.privateKey = privateKey;
    this.publicJwk = { ...publicKey.export({ format: 'jwk' }) };
    this.privateJwk = { ...privateKey.export({ format: 'jwk' }) };
  }

  /** A proof for a request. @param token the token that is presented with it */
  prove(
    { broker, url }: TestBroker,
    [method, path]: readonly [method: string, path: string],
    token: string | undefined,
    parts: ProofParts = {},
  ): string {
    const now = broker.clock();
    const claims = {
      jti: randomUUID(),
      htm: method,
      htu: `${url}${path}`,
      iat: Math.floor(now / 1000),
      nonce: broker.nonces.current(now),
      ...(token === undefined ? {} : { ath: hashOf(token) }),
    };
    return forgeJwt(
      { typ: 'dpop+jwt', alg: 'EdDSA', jwk: this.publicJwk, ...parts.header },
      { ...claims, ...parts.claims },
      parts.signer ?? signedWith(this.privateKey),
    );
  }
}

/** `ath` of a token. */
export const hashOf = (token: string): string =>
  createHash('sha256').update(token).digest('base64url');
