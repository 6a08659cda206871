/** The keys that a log is checked with, as commands take them. */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Option, type Command } from 'commander';
import { VERIFIER_KEY_PATH } from '../../audit/bundle-layout.ts';
import { readSmall } from '../../audit/expected-file.ts';
import type { TrustedKeys } from '../../audit/known-keys.ts';
import { openBundle } from '../../audit/open-bundle.ts';
import { several } from '../arguments.ts';
import { commandLine } from '../command-line.ts';
import { readInputFile } from '../input-file.ts';
import { fileTrouble, wrongUsage } from '../problems.ts';
import { profilesPath } from '../profiles.ts';
import type { Surroundings } from '../surroundings.ts';

export interface KeyOptions extends HistoryOptions {
  key?: string[];
  trustKeyInBundle?: boolean;
}

interface HistoryOptions {
  /** `--history`: files with the history of a log's keys. */
  history?: string[];
}

/** Said where the key came out of the bundle. */
export const WEAKNESS =
  'The key came out of the bundle itself: this shows that the bundle agrees with itself, not who made it. Whoever could forge the bundle could put a key of their own into it.';

const MOST_KEY_BYTES = 64 * 1024;

/** Adds the options that say which keys. */
export function withKey(command: Command): Command {
  return command
    .option(
      '--key <key>',
      "the log's verifier key, or @FILE that holds it; may be given several times",
      several,
    )
    .addOption(historyOption())
    .option(
      '--trust-key-in-bundle',
      'take the key out of the bundle: shows damage, but not who made the bundle',
    );
}

/** Says which keys a log has had, and when. */
export const historyOption = (): Option =>
  new Option(
    '--history <file>',
    'where the log\'s key was replaced: the history of its keys, as "audit key --history --json" prints it',
  ).argParser(several);

/**
 * The keys that a log is checked with: those given, else those configured, never those that the log offers.
 *
 * @param bundle the bundle to take a key from where that was asked for; undefined for what is no bundle
 * @throws where there is none
 */
export async function trustedKeys(
  around: Surroundings,
  bundle: string | undefined,
  options: KeyOptions,
): Promise<TrustedKeys> {
  const { key, trustKeyInBundle, history } = options;
  if (key !== undefined && trustKeyInBundle)
    throw new Error('--key and --trust-key-in-bundle exclude each other: give one of them.');
  if (trustKeyInBundle) {
    if (bundle !== undefined) return { keys: [await keyInBundle(bundle)], histories: [] };
    throw new Error('--trust-key-in-bundle is for bundles: this has no key in it. Give --key.');
  }
  const trusted = givenKeys(around, key, history);
  if (trusted.keys.length > 0) return trusted;
  throw new Error(
    `It takes the verifier key of the log: give --key with the key as the host lab published it, got by another way than this bundle ("${commandLine(around, 'audit key')}" prints what a broker says it is; compare it with what the lab publishes or told you).`,
  );
}

/**
 * The keys of an option, each a key or `@FILE` with one on each line; without it, those configured, which may be none.
 *
 * @param histories files with histories of logs' keys
 * @throws CliError where a file cannot be read
 */
export function givenKeys(
  around: Surroundings,
  option: string[] | undefined,
  histories: string[] = [],
): TrustedKeys {
  return {
    keys: option?.flatMap(keysOf) ?? configuredKeys(around),
    histories: histories.map((path) => readInputFile(path, 'history of the keys')),
  };
}

/** Where people keep the keys that they trust: one to a line. */
function configuredKeysPath({ env }: Surroundings): string {
  return join(dirname(profilesPath(env)), 'log-keys');
}

function configuredKeys(around: Surroundings): string[] {
  const path = configuredKeysPath(around);
  try {
    return linesOf(readFileSync(path, 'utf8'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw wrongUsage(`Cannot read the keys in ${path}: ${fileTrouble(error)}.`, error);
  }
}

function keysOf(given: string): string[] {
  if (!given.startsWith('@')) return [given];
  return linesOf(readInputFile(given.slice(1), 'verifier key'));
}

/** Without empty lines and comments. */
function linesOf(text: string): string[] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
}

async function keyInBundle(path: string): Promise<string> {
  const reader = await openBundle(path);
  try {
    return (await readSmall(reader, VERIFIER_KEY_PATH, MOST_KEY_BYTES)).toString('utf8').trim();
  } finally {
    await reader.close();
  }
}
