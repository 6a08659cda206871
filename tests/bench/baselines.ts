/** What figures are held against: the work that nothing could be spared. */
import { webcrypto } from 'node:crypto';

const { subtle } = webcrypto;
const ALGORITHM = 'Ed25519';

/** About as much as is signed in a token. */
const SIGNED_BYTES = 512;

export interface Signatures {
  check: () => Promise<unknown>;
  make: () => Promise<unknown>;
}

/** Bare signatures, by the same implementation that makes and checks those of tokens. */
export async function bareSignatures(): Promise<Signatures> {
  const { privateKey, publicKey } = (await subtle.generateKey(ALGORITHM, false, [
    'sign',
    'verify',
  ])) as webcrypto.CryptoKeyPair;
  const text = new Uint8Array(SIGNED_BYTES);
  const signature = await subtle.sign(ALGORITHM, privateKey, text);
  return {
    check: () => subtle.verify(ALGORITHM, publicKey, signature, text),
    make: () => subtle.sign(ALGORITHM, privateKey, text),
  };
}
