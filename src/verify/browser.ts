/**
 * `sallyport/verify/browser`: hashing and signatures in JavaScript, for `createVerifier`, where there is no Node. The
 * browser's own hashing answers by promises, which a tree of a million hashes cannot wait for one by one.
 */
import { ed25519 } from '@noble/curves/ed25519.js';
import { sha256 } from '@noble/hashes/sha2.js';
import type { Primitives } from '../core/tlog/primitives.ts';

export const browserPrimitives: Primitives = {
  sha256,
  verifyEd25519: (publicKey, message, signature) => {
    try {
      // The rules of RFC 8032, as Node has them, not the laxer ones of ZIP 215.
      return ed25519.verify(signature, message, publicKey, { zip215: false });
    } catch {
      // Bytes that are no key or no signature.
      return false;
    }
  },
};
