/** The key by which this broker cosigns the checkpoints of others' logs. */
import { existsSync } from 'node:fs';
import { cosign, formatWitnessKey } from '../core/audit/cosignature.ts';
import { formatSignature } from '../core/audit/note.ts';
import { createKeyFile, loadKeyFile } from '../lib/key-file.ts';

/** What the broker can do with it. The private half never leaves here. */
export interface WitnessKey {
  name: string;
  /** C2SP verifier key, type 4: what the logs are given that ask us to cosign. */
  verifierKey: string;
  /**
   * Cosigns a checkpoint.
   *
   * @param body its signed text
   * @param at epoch milliseconds
   * @returns the line of the note, with its newline
   */
  cosign: (body: string, at: number) => string;
}

/** The file of the witness's key, in the folder of keys. */
export const WITNESS_KEY_FILE = 'witness.pem';

/**
 * Loads the key of a witness, or makes it where there is none yet: it has its own file, apart from the log's.
 *
 * @throws KeyFileError
 */
export function openWitnessKey(path: string, name: string): WitnessKey {
  const privateKey = existsSync(path) ? loadKeyFile(path) : createKeyFile(path);
  return {
    name,
    verifierKey: formatWitnessKey(name, privateKey),
    cosign: (body, at) => formatSignature(cosign(name, privateKey, body, Math.floor(at / 1000))),
  };
}

/** What a witness is called unless the configuration says otherwise. @param origin of its own log */
export const witnessNameOf = (origin: string): string => `${origin}/witness`;
