/** Proofs of possession (RFC 9449): each request shows that whoever sends it holds the key of its token. */
import { createHash, generateKeyPairSync, randomUUID, type KeyObject } from 'node:crypto';
import { SignJWT, type JWK } from 'jose';
import type { Clock } from '../../lib/clock.ts';
import { publicJwkOf } from '../public-key.ts';

/** The two that give out nonces. They are one server: where one has given none yet, the other's is tried. */
type NonceGiver = 'token endpoint' | 'gateway';

/** What RFC 9449, section 8.1, allows a nonce to be; anything else is not repeated. */
const NONCE = /^[\x21\x23-\x5b\x5d-\x7e]{1,500}$/;

/** A key pair made for one run, which never leaves this object, and the newest nonces of the broker. */
export class DpopProofs {
  readonly #key: KeyObject;
  readonly #jwk: JWK;
  readonly #origin: string;
  readonly #clock: Clock;
  readonly #nonces = new Map<NonceGiver, string>();

  /** @param origin under which the broker knows itself, and checks proofs */
  constructor(origin: string, clock: Clock) {
    const { privateKey } = generateKeyPairSync('ed25519');
    this.#key = privateKey;
    this.#jwk = { ...publicJwkOf(privateKey) };
    this.#origin = origin;
    this.#clock = clock;
  }

  /**
   * Makes the `DPoP` header of one request.
   *
   * @param path of the request; its query is left out of the proof (section 4.2)
   * @param accessToken the token that goes with it, at the gateway
   */
  prove(to: NonceGiver, method: string, path: string, accessToken?: string): Promise<string> {
    const other = to === 'gateway' ? 'token endpoint' : 'gateway';
    const nonce = this.#nonces.get(to) ?? this.#nonces.get(other);
    return new SignJWT({
      htm: method,
      htu: `${this.#origin}${path.split('?', 1)[0]}`,
      ...(accessToken === undefined ? {} : { ath: hashOf(accessToken) }),
      ...(nonce === undefined ? {} : { nonce }),
    })
      .setProtectedHeader({ alg: 'EdDSA', typ: 'dpop+jwt', jwk: this.#jwk })
      .setJti(randomUUID())
      .setIssuedAt(Math.floor(this.#clock() / 1000))
      .sign(this.#key);
  }

  /** Takes up the nonce of an answer: the newest is the one to use. */
  heard(from: NonceGiver, nonce: string | null | undefined): void {
    if (typeof nonce === 'string' && NONCE.test(nonce)) this.#nonces.set(from, nonce);
  }
}

const hashOf = (token: string): string => createHash('sha256').update(token).digest('base64url');
