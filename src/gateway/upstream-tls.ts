/** How an upstream is verified, and how we identify ourselves to it. Read once, at the start. */
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createSecureContext, type SecureContext } from 'node:tls';
import type { UpstreamOfEndpoint } from '../core/endpoints.ts';
import { readSecretFile } from '../lib/secret-file.ts';

/**
 * @returns undefined for an upstream without TLS
 * @throws with what to do
 */
export function upstreamTls({
  upstream,
  tls = {},
}: Pick<UpstreamOfEndpoint, 'upstream' | 'tls'>): SecureContext | undefined {
  if (!upstream.startsWith('https:')) return undefined;
  const { caFile, certFile, keyFile } = tls;
  const parts = {
    ...(caFile === undefined ? {} : { ca: readCertificates(caFile) }),
    ...(certFile === undefined ? {} : { cert: readCertificates(certFile) }),
    ...(keyFile === undefined ? {} : { key: readSecretFile(keyFile) }),
  };
  try {
    return createSecureContext(parts);
  } catch (error) {
    throw new Error(
      `The key ${keyFile} cannot be used with the certificate ${certFile}. Give the PEM files of one pair, the key without a passphrase.`,
      { cause: error },
    );
  }
}

const PEM = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;

/** What is no certificate would be passed over in silence later, and every connection refused. */
function readCertificates(path: string): string[] {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new Error(`The certificate file ${path} cannot be read. Check its path and mode.`, {
      cause: error,
    });
  }
  const found = text.match(PEM) ?? [];
  if (found.length === 0)
    throw new Error(`The file ${path} holds no certificate. It must be PEM ("BEGIN CERTIFICATE").`);
  try {
    return found.map((pem) => new X509Certificate(pem).toString());
  } catch (error) {
    throw new Error(`A certificate in ${path} is damaged. Write the file again, as PEM.`, {
      cause: error,
    });
  }
}
