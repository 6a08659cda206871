/** `sallyport audit compare`: whether two checkpoints of a log agree, or prove that it was shown in two versions. */
import type { Command } from 'commander';
import { knownKeys, type TrustedKeys } from '../../audit/known-keys.ts';
import { openBundle } from '../../audit/open-bundle.ts';
import { EXIT_CODES } from '../../audit/verify-bundle.ts';
import { openCheckpoint } from '../../core/audit/checkpoint.ts';
import {
  seenCheckpoint,
  whyNoSplitView,
  type Comparison,
  type SeenCheckpoint,
  type SplitView,
} from '../../core/audit/split-view.ts';
import { parseTlogProof } from '../../core/audit/tlog-proof.ts';
import { urlOf } from '../connection.ts';
import { defineCommand, setUsageExitCode, withJson } from '../define.ts';
import { call, jsonOf, textOf } from '../http.ts';
import { readInputFile } from '../input-file.ts';
import { note, printJson, say, type JsonOption } from '../output.ts';
import { QuietExit } from '../problems.ts';
import type { Surroundings } from '../surroundings.ts';
import { trustedKeys, withKey, type KeyOptions } from './bundle-key.ts';
import { compareByTiles, tilesOfBroker, tilesOfBundle } from './log-hashes.ts';
import { comparedSchema, splitViewSchema } from './witness-wire.ts';

interface CompareOptions extends JsonOption, KeyOptions {
  profile?: string;
  url?: string;
  bundle?: string;
}

const EXIT: Record<Comparison['verdict'], number> = { consistent: 0, split: 1, undecided: 2 };

const EXIT_HELP = `Exit codes:
  0  consistent: the log has only grown from one to the other, or they are the same
  1  split view: it is proven that the log was shown in two versions
  2  undecided: it takes a proof between the two sizes, and there is none here
  3  could not run: nothing can be said (wrong usage included)`;

export function addAuditCompare(group: Command, around: Surroundings): void {
  const command = defineCommand(group, 'compare <checkpoint> [other]', {
    summary: 'Tell whether two checkpoints of a log agree, or prove a split view',
    details:
      'Takes checkpoints as they were seen, or receipts (.tlog-proof), or one file of "audit split-views --save". With two files, asks nobody; of two sizes it takes the hashes of the log between them, from a bundle (--bundle) or a broker (--url). With one checkpoint, holds it against the running broker: its hashes are checked here, whatever it says itself; and it is handed in, so that the broker keeps what does not agree.',
    examples: [
      'sallyport audit compare mine.checkpoint theirs.checkpoint --key @log.vkey',
      'sallyport audit compare old.checkpoint new.checkpoint --key @log.vkey --bundle evidence.tar',
      'sallyport audit compare seen.checkpoint --key @log.vkey --url https://sallyport.example.org',
    ],
    exitCodes: EXIT_HELP,
  });
  setUsageExitCode(command, EXIT_CODES.could_not_run);
  withKey(withJson(command))
    .option('--bundle <file>', 'take the hashes of the log from this evidence bundle')
    .option('--profile <name>', 'the broker of this profile')
    .option('--url <url>', 'the broker, without a profile; takes no login')
    .action(async (path: string, other: string | undefined, options: CompareOptions) => {
      throw new QuietExit(await compare(around, path, other, options));
    });
}

/** @returns the exit code */
async function compare(
  around: Surroundings,
  path: string,
  other: string | undefined,
  options: CompareOptions,
): Promise<number> {
  try {
    const keys = await trustedKeys(around, options.bundle, options);
    const text = readInputFile(path, 'checkpoint');
    if (text.trimStart().startsWith('{')) return checkEvidence(around, text, keys, options);
    const one = opened(text, keys);
    if (other === undefined) return await againstBroker(around, one, keys, options);
    const two = opened(readInputFile(other, 'checkpoint'), keys);
    if (one.origin !== two.origin)
      throw new Error(`The checkpoints are of two logs: ${one.origin} and ${two.origin}.`);
    return print(around, await comparison(around, one, two, options), [one, two], options);
  } catch (error) {
    note(around, `sallyport: ${error instanceof Error ? error.message : String(error)}`);
    return EXIT_CODES.could_not_run;
  }
}

/** A checkpoint out of a file, its signature found good. */
function opened(text: string, keys: TrustedKeys): SeenCheckpoint {
  const noteText = parseTlogProof(text)?.checkpoint ?? text;
  openCheckpoint(noteText, knownKeys(keys, noteText));
  return seenCheckpoint(noteText);
}

async function comparison(
  around: Surroundings,
  one: SeenCheckpoint,
  two: SeenCheckpoint,
  { bundle, url, profile }: CompareOptions,
): Promise<Comparison> {
  if (bundle === undefined) {
    const asks = url !== undefined || profile !== undefined;
    const readTile = asks ? tilesOfBroker(urlOf(around, { url, profile })) : undefined;
    return compareByTiles(one, two, readTile);
  }
  const reader = await openBundle(bundle);
  try {
    return await compareByTiles(one, two, await tilesOfBundle(reader));
  } finally {
    await reader.close();
  }
}

async function againstBroker(
  around: Surroundings,
  seen: SeenCheckpoint,
  keys: TrustedKeys,
  options: CompareOptions,
): Promise<number> {
  const url = urlOf(around, options);
  const log = `${url}/api/v1/log`;
  const theirs = opened(await textOf(await call(`${log}/checkpoint`)), keys);
  if (theirs.origin !== seen.origin)
    throw new Error(`That broker keeps the log ${theirs.origin}, and this is of ${seen.origin}.`);
  const found = await compareByTiles(seen, theirs, tilesOfBroker(url));
  if (seen.size > theirs.size)
    note(
      around,
      `The broker shows ${theirs.size} entries, and the checkpoint that you have is of ${seen.size}: it hides some, or has an older copy.`,
    );
  // What it answers is its own word; it is asked so that it is on record with it.
  const body = { method: 'POST', headers: { 'content-type': 'text/plain' }, body: seen.note };
  const { splitView } = await jsonOf(await call(`${log}/compare`, body), comparedSchema);
  if (splitView !== null) note(around, `The broker keeps it as ${splitView}.`);
  return print(around, found, [seen, theirs], options);
}

/** A file that says it is the proof of a split view. */
function checkEvidence(
  around: Surroundings,
  text: string,
  keys: TrustedKeys,
  options: CompareOptions,
): number {
  const parsed = splitViewSchema.safeParse(JSON.parse(text));
  if (!parsed.success) throw new Error('The file is neither a checkpoint nor a split view.');
  const { origin, older, newer, past } = parsed.data;
  const evidence: SplitView = {
    origin,
    older,
    newer,
    past: past
      ? {
          root: Buffer.from(past.root, 'base64'),
          proof: past.proof.map((hash) => Buffer.from(hash, 'base64')),
        }
      : undefined,
  };
  const why = whyNoSplitView(evidence, knownKeys(keys, newer));
  if (why !== undefined) note(around, why);
  const found: Comparison =
    why === undefined ? { verdict: 'split', evidence } : { verdict: 'undecided' };
  return print(around, found, [older, newer].map(seenCheckpoint), options);
}

function print(
  around: Surroundings,
  found: Comparison,
  seen: readonly SeenCheckpoint[],
  options: JsonOption,
): number {
  const { verdict } = found;
  const [older, newer] = seen.map(({ size }) => size).sort((a, b) => a - b);
  const origin = seen[0]?.origin ?? '';
  if (options.json) {
    printJson(around, { verdict, origin, sizes: [older, newer], ...evidenceOf(found) });
    return EXIT[verdict];
  }
  const sentences: Record<Comparison['verdict'], string> = {
    consistent: `CONSISTENT: ${origin} has only grown from ${older} to ${newer} entries.`,
    split: `SPLIT VIEW: ${origin} was shown in two versions. Its key signed both, of ${older} and ${newer} entries, and they do not agree. Keep both files.`,
    undecided: `UNDECIDED: between ${older} and ${newer} entries of ${origin} it takes the hashes of the log. Give --bundle or --url.`,
  };
  say(around, sentences[verdict]);
  return EXIT[verdict];
}

function evidenceOf(found: Comparison): object {
  if (found.verdict !== 'split') return {};
  const { older, newer, past } = found.evidence;
  return {
    older,
    newer,
    past: past
      ? {
          root: past.root.toString('base64'),
          proof: past.proof.map((hash) => hash.toString('base64')),
        }
      : null,
  };
}
