/** Secrets of channels: read by reference at each attempt, so that one that was replaced is good at once. */
import { readSecretFile } from '../lib/secret-file.ts';

/** Standard Webhooks: 24 to 64 bytes. */
const LEAST_KEY_BYTES = 24;
const MOST_KEY_BYTES = 64;

/** While a secret is replaced there are two; more than this are a mistake. */
const MOST_KEYS = 4;

/**
 * Reads the secret that a reference of the configuration names.
 *
 * @param reference `env:NAME` or `file:PATH`
 * @throws with what to do, never with the secret
 */
export function readSecret(reference: string): string {
  const isVariable = reference.startsWith('env:');
  const secret = isVariable
    ? process.env[reference.slice('env:'.length)]?.trim()
    : readSecretFile(reference.slice('file:'.length)).trim();
  if (!secret)
    throw new Error(
      isVariable
        ? `The environment variable ${reference.slice('env:'.length)}, which holds a secret, is not set.`
        : `The secret file ${reference.slice('file:'.length)} is empty.`,
    );
  return secret;
}

/**
 * Reads the keys that webhooks are signed with: one, or, while it is replaced, the new one and the old one.
 *
 * @throws with what to do, never with a key
 */
export function readSigningKeys(reference: string): Buffer[] {
  const keys = readSecret(reference).split(/\s+/).map(parseKey);
  if (keys.length <= MOST_KEYS && keys.every((key) => key !== undefined)) return keys;
  throw new Error(
    `The secret of ${reference} is not that of a webhook: it must be whsec_ and ${LEAST_KEY_BYTES} to ${MOST_KEY_BYTES} bytes in base64, or up to ${MOST_KEYS} such, one a line. Make one with: echo "whsec_$(openssl rand -base64 32)"`,
  );
}

function parseKey(text: string): Buffer | undefined {
  const encoded = /^whsec_([A-Za-z0-9+/]+={0,2})$/.exec(text)?.[1];
  if (encoded === undefined) return undefined;
  const key = Buffer.from(encoded, 'base64');
  const isWhole = key.toString('base64').replaceAll('=', '') === encoded.replaceAll('=', '');
  const fits = key.length >= LEAST_KEY_BYTES && key.length <= MOST_KEY_BYTES;
  return isWhole && fits ? key : undefined;
}
