/** The key that an evidence bundle is checked with, as commands take it. */
import type { Command } from 'commander';
import { CHECKPOINT_PATH, MANIFEST_PATH, VERIFIER_KEY_PATH } from '../../audit/bundle-layout.ts';
import { readSmall } from '../../audit/expected-file.ts';
import { openBundle } from '../../audit/open-bundle.ts';
import { MOST_REPORT_MANIFEST_BYTES } from '../../audit/report-layout.ts';
import { several } from '../arguments.ts';
import { commandLine } from '../command-line.ts';
import { readInputFile } from '../input-file.ts';
import type { Surroundings } from '../surroundings.ts';

export interface KeyOptions {
  key?: string[];
  trustKeyInBundle?: boolean;
}

/** Said where the key came out of the bundle. */
export const WEAKNESS =
  'The key came out of the bundle itself: this shows that the bundle agrees with itself, not who made it. Whoever could forge the bundle could put a key of their own into it.';

const MOST_KEY_BYTES = 64 * 1024;

/** Adds the options that say which key. */
export function withKey(command: Command): Command {
  return command
    .option(
      '--key <key>',
      "the log's verifier key, or @FILE that holds it; again for a key that was replaced",
      several,
    )
    .option(
      '--trust-key-in-bundle',
      'take the key out of the bundle: shows damage, but not who made the bundle',
    );
}

/**
 * The keys that a log is checked with.
 *
 * @param bundle the bundle to take a key from where that was asked for; undefined for what is no bundle
 * @throws where there is none
 */
export async function trustedKeys(
  around: Surroundings,
  bundle: string | undefined,
  options: KeyOptions,
): Promise<string[]> {
  const { key, trustKeyInBundle } = options;
  if (key !== undefined && trustKeyInBundle)
    throw new Error('--key and --trust-key-in-bundle exclude each other: give one of them.');
  if (key !== undefined)
    return key.map((one) =>
      one.startsWith('@') ? readInputFile(one.slice(1), 'verifier key').trim() : one,
    );
  if (trustKeyInBundle) {
    if (bundle !== undefined) return [await keyInBundle(bundle)];
    throw new Error('--trust-key-in-bundle is for bundles: this has no key in it. Give --key.');
  }
  throw new Error(
    `It takes the verifier key of the log: give --key with the key as the host lab published it, got by another way than this bundle ("${commandLine(around, 'audit key')}" prints what a broker says it is; compare it with what the lab publishes or told you).`,
  );
}

/** Files of a bundle come in a fixed order, so those in front of the key are read over. */
async function keyInBundle(path: string): Promise<string> {
  const reader = await openBundle(path);
  try {
    await readSmall(reader, MANIFEST_PATH, MOST_REPORT_MANIFEST_BYTES);
    await readSmall(reader, CHECKPOINT_PATH, MOST_KEY_BYTES);
    return (await readSmall(reader, VERIFIER_KEY_PATH, MOST_KEY_BYTES)).toString('utf8');
  } finally {
    await reader.close();
  }
}
