/** Learns what a broker calls itself: client assertions are addressed to that name. */
import { z } from 'zod';
import { call, jsonOf } from './http.ts';
import { failed } from './problems.ts';

const metadataSchema = z.looseObject({ issuer: z.url({ protocol: /^https?$/ }) });

/**
 * The issuer of the broker at a URL (RFC 8414), which must be that URL: a server that could name another
 * broker here would get assertions signed that pass at that other broker.
 *
 * @param expected the issuer that the user vouches for, where it is not the URL
 * @throws CliError
 */
export async function fetchIssuer(url: string, expected = url): Promise<string> {
  const response = await call(`${url}/.well-known/oauth-authorization-server`);
  const { issuer } = await jsonOf(response, metadataSchema);
  if (new URL(issuer).href === new URL(expected).href) return issuer;
  throw failed(
    `The broker at ${url} says that its address is ${issuer}: use that as the URL, or, if you know that both are the same broker, "sallyport login" with --issuer ${issuer}.`,
  );
}
