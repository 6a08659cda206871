/** What the checks are computed with. Nothing in this folder brings its own, so that it runs wherever JavaScript does. */

/** Hashing and signatures, handed in by whoever verifies. */
export interface Primitives {
  /** SHA-256 (FIPS 180-4), in 32 bytes of its own. Must not keep the bytes: they are overwritten. */
  sha256: (bytes: Uint8Array) => Uint8Array;
  /**
   * Whether it is the key's Ed25519 signature (RFC 8032) over the message. False, not an error, for what cannot be one.
   *
   * @param publicKey the raw 32 bytes
   * @param signature 64 bytes
   */
  verifyEd25519: (publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array) => boolean;
}
