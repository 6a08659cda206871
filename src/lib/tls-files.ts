/** TLS from files: whom the other side must be certified by, and how we identify ourselves to it. Read once, at the start. */
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createSecureContext, type SecureContext } from 'node:tls';
import { readSecretFile } from './secret-file.ts';

/** Paths of PEM files. */
export interface TlsFiles {
  /** Certificates of the authorities; without it, those that Node knows. */
  caFile?: string | undefined;
  /** Certificate and key of ours; both or neither. */
  certFile?: string | undefined;
  keyFile?: string | undefined;
}

/** @throws with what to do, never with the key */
export function openTls({ caFile, certFile, keyFile }: TlsFiles): SecureContext {
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
