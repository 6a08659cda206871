/** Certificates for tests of TLS, made by the program openssl. */
import { execFileSync, spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

export const hasOpenssl = spawnSync('openssl', ['version']).status === 0;
// oxlint-disable-next-line no-console -- whoever reads the results must know
if (!hasOpenssl) console.warn('SKIPPED: the tests of TLS need the program openssl.');

export interface Pair {
  certFile: string;
  keyFile: string;
}

/** An authority of its own in a folder. */
export class Authority {
  readonly caFile: string;
  readonly #folder: string;
  readonly #keyFile: string;

  constructor(folder: string, name: string) {
    this.#folder = folder;
    this.caFile = join(folder, `${name}.pem`);
    this.#keyFile = join(folder, `${name}.key`);
    openssl([
      'req',
      '-x509',
      '-newkey',
      'ed25519',
      '-nodes',
      '-days',
      '2',
      '-subj',
      `/CN=${name}`,
      '-keyout',
      this.#keyFile,
      '-out',
      this.caFile,
    ]);
  }

  /** @param days less than zero: it has expired */
  issue(name: string, subject = 'IP:127.0.0.1', days = 1): Pair {
    const [certFile, keyFile, request, extensions] = ['pem', 'key', 'csr', 'ext'].map((ending) =>
      join(this.#folder, `${name}.${ending}`),
    ) as [string, string, string, string];
    openssl([
      'req',
      '-newkey',
      'ed25519',
      '-nodes',
      '-subj',
      `/CN=${name}`,
      '-keyout',
      keyFile,
      '-out',
      request,
    ]);
    writeFileSync(extensions, `subjectAltName=${subject}\n`);
    openssl([
      'x509',
      '-req',
      '-in',
      request,
      '-CA',
      this.caFile,
      '-CAkey',
      this.#keyFile,
      '-days',
      String(days),
      '-extfile',
      extensions,
      '-out',
      certFile,
    ]);
    return { certFile, keyFile };
  }
}

function openssl(args: string[]): void {
  execFileSync('openssl', args, { stdio: 'ignore' });
}
