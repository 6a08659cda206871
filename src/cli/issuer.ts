/** Learns what a broker calls itself: client assertions are addressed to that name. */
import { z } from 'zod';
import { call, jsonOf } from './http.ts';
import { failed } from './problems.ts';

const httpUrl = z.url({ protocol: /^https?$/ });
const metadataSchema = z.looseObject({ issuer: httpUrl });
const endpointSchema = z.looseObject({ issuer: httpUrl, token_endpoint: httpUrl });

/**
 * The issuer of the broker at a URL (RFC 8414), which must be that URL: a server that could name another
 * broker here would get assertions signed that pass at that other broker.
 *
 * @param expected the issuer that the user vouches for, where it is not the URL
 * @throws CliError
 */
export async function fetchIssuer(url: string, expected = url): Promise<string> {
  const { issuer } = await fetchMetadata(url, metadataSchema);
  if (isSame(issuer, expected)) return issuer;
  throw failed(
    `The broker at ${url} says that its address is ${issuer}: use that as the URL, or, if you know that both are the same broker, log in with --issuer ${issuer}.`,
  );
}

/**
 * The origin that a broker checks proofs of possession for: that of its URL, unless the user vouched for another
 * issuer there. What is reached through a tunnel knows itself by another address.
 *
 * @throws CliError
 */
export async function fetchProofOrigin({
  url,
  issuer,
}: {
  url: string;
  issuer: string;
}): Promise<string> {
  if (isSame(url, issuer)) return new URL(url).origin;
  const named = await fetchMetadata(url, endpointSchema);
  if (isSame(named.issuer, issuer)) return new URL(named.token_endpoint).origin;
  throw failed(
    `The broker at ${url} calls itself ${named.issuer}, and not ${issuer} as at login. Log in again if that is right.`,
  );
}

async function fetchMetadata<T>(url: string, schema: z.ZodType<T>): Promise<T> {
  return jsonOf(await call(`${url}/.well-known/oauth-authorization-server`), schema);
}

const isSame = (one: string, other: string): boolean => new URL(one).href === new URL(other).href;
