/** Upstream credentials: read by reference, kept in memory only. */
import { readFileSync, statSync } from 'node:fs';

/**
 * Reads the secret that a reference of the configuration names.
 *
 * @param reference `env:NAME` or `file:PATH`
 * @throws with what to do, never with the secret
 */
export function readCredential(reference: string): string {
  if (reference.startsWith('env:')) {
    const name = reference.slice('env:'.length);
    const secret = process.env[name]?.trim();
    if (!secret)
      throw new Error(
        `The environment variable ${name}, which holds an upstream credential, is not set.`,
      );
    return assertHeaderSafe(secret, reference);
  }
  const path = reference.slice('file:'.length);
  if ((statSync(path).mode & 0o077) !== 0) {
    throw new Error(
      `The credential file ${path} is open to others than its owner. Run "chmod 600 ${path}".`,
    );
  }
  const secret = readFileSync(path, 'utf8').trim();
  if (!secret) throw new Error(`The credential file ${path} is empty.`);
  return assertHeaderSafe(secret, reference);
}

function assertHeaderSafe(secret: string, reference: string): string {
  if (!/^[\x21-\x7e]+$/.test(secret))
    throw new Error(`The credential of ${reference} has characters that cannot stand in a header.`);
  return secret;
}
