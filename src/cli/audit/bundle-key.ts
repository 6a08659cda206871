/** The key that an evidence bundle is checked with, as commands take it. */
import type { Command } from 'commander';
import { VERIFIER_KEY_PATH } from '../../audit/bundle-layout.ts';
import { readSmall } from '../../audit/expected-file.ts';
import { openBundle } from '../../audit/open-bundle.ts';
import { commandLine } from '../command-line.ts';
import { readInputFile } from '../input-file.ts';
import type { Surroundings } from '../surroundings.ts';

export interface KeyOptions {
  key?: string;
  trustKeyInBundle?: boolean;
}

/** Said where the key came out of the bundle. */
export const WEAKNESS =
  'The key came out of the bundle itself: this shows that the bundle agrees with itself, not who made it. Whoever could forge the bundle could put a key of their own into it.';

const MOST_KEY_BYTES = 64 * 1024;

/** Adds the options that say which key. */
export function withKey(command: Command): Command {
  return command
    .option('--key <key>', "the log's verifier key, or @FILE that holds it")
    .option(
      '--trust-key-in-bundle',
      'take the key out of the bundle: shows damage, but not who made the bundle',
    );
}

/** The key that a bundle is checked with. @throws where there is none */
export async function trustedKey(
  around: Surroundings,
  path: string,
  options: KeyOptions,
): Promise<string> {
  const { key, trustKeyInBundle } = options;
  if (key !== undefined && trustKeyInBundle)
    throw new Error('--key and --trust-key-in-bundle exclude each other: give one of them.');
  if (key?.startsWith('@')) return readInputFile(key.slice(1), 'verifier key');
  if (key !== undefined) return key;
  if (trustKeyInBundle) return keyInBundle(path);
  throw new Error(
    `It takes the verifier key of the log: give --key with the key as the host lab published it, got by another way than this bundle ("${commandLine(around, 'audit key')}" prints what a broker says it is; compare it with what the lab publishes or told you).`,
  );
}

async function keyInBundle(path: string): Promise<string> {
  const reader = await openBundle(path);
  try {
    return (await readSmall(reader, VERIFIER_KEY_PATH, MOST_KEY_BYTES)).toString('utf8');
  } finally {
    await reader.close();
  }
}
