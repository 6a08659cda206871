/** Options that say whose cosignatures a checkpoint must have, and what comes of them. */
import { InvalidArgumentError, Option, type Command } from 'commander';
import { CHECKPOINT_PATH, MANIFEST_PATH } from '../../audit/bundle-layout.ts';
import { readSmall } from '../../audit/expected-file.ts';
import { openBundle } from '../../audit/open-bundle.ts';
import { MOST_REPORT_MANIFEST_BYTES } from '../../audit/report-layout.ts';
import type { BundleReport } from '../../audit/verify-bundle.ts';
import { parseWitnessKey } from '../../core/audit/cosignature.ts';
import { PolicyError, parseWitnessPolicy } from '../../core/audit/witness-policy.ts';
import { anyOf, witnessing, type WitnessPolicy } from '../../core/audit/witnessing.ts';
import { wholeNumber } from '../arguments.ts';
import { readInputFile } from '../input-file.ts';

export interface WitnessOptions {
  witness?: string[];
  witnessesNeeded?: number;
  policy?: string;
}

const MOST_CHECKPOINT_BYTES = 64 * 1024;

/** Adds the options that say which witnesses. */
export function withWitnesses(command: Command): Command {
  return command
    .option(
      '--witness <key>',
      'verifier key of a witness that must have cosigned, or @FILE that holds it; can be given again',
      witnessKey,
    )
    .option('--witnesses-needed <n>', 'so many of them are enough (default: all)', wholeNumber(1))
    .addOption(
      new Option(
        '--policy <file>',
        'which witnesses are needed, as a policy (C2SP tlog-policy)',
      ).conflicts(['witness', 'witnessesNeeded']),
    );
}

/** The policy that was given; undefined: none. @throws where it is not one */
export function policyOf(options: WitnessOptions): WitnessPolicy | undefined {
  const { witness, witnessesNeeded, policy } = options;
  if (policy !== undefined) {
    try {
      return parseWitnessPolicy(readInputFile(policy, 'policy'));
    } catch (error) {
      if (error instanceof PolicyError) throw new Error(error.message, { cause: error });
      throw error;
    }
  }
  if (witness === undefined) {
    if (witnessesNeeded === undefined) return undefined;
    throw new Error('--witnesses-needed counts those given with --witness: give at least one.');
  }
  const known = witness.map((verifierKey) => ({
    name: parseWitnessKey(verifierKey).name,
    verifierKey,
  }));
  if (witnessesNeeded !== undefined && witnessesNeeded > known.length)
    throw new Error(`--witnesses-needed is more than the ${known.length} that --witness names.`);
  return anyOf(known, witnessesNeeded ?? known.length);
}

/**
 * Adds to the report on a bundle what the cosignatures of its checkpoint come to: too few of them, and it is incomplete;
 * one that is forged, and it was tampered with.
 *
 * @param report of the same bundle; one that is not sound stays as it is
 */
export async function heedWitnesses(
  report: BundleReport,
  path: string,
  policy: WitnessPolicy | undefined,
): Promise<BundleReport> {
  if (policy === undefined || report.status !== 'sound') return report;
  const { signed, missing, bad, isWitnessed } = witnessing(await checkpointIn(path), policy);
  const names = signed.map(({ name, at }) => `${name} (${new Date(at).toISOString()})`);
  if (bad.length > 0)
    return {
      ...report,
      status: 'tampered',
      problem: `The checkpoint carries a cosignature in the name of ${bad.join(', ')} that is not theirs.`,
    };
  if (!isWitnessed)
    return {
      ...report,
      status: 'incomplete',
      problem: `Too few witnesses have cosigned the checkpoint: ${names.join(', ') || 'none'} of ${policy.witnesses.length}; not ${missing.join(', ')}.`,
    };
  return {
    ...report,
    checked: [...report.checked, `cosigned by ${names.join(', ') || 'nobody, as is enough'}`],
  };
}

async function checkpointIn(path: string): Promise<Buffer> {
  const reader = await openBundle(path);
  try {
    await readSmall(reader, MANIFEST_PATH, MOST_REPORT_MANIFEST_BYTES);
    return await readSmall(reader, CHECKPOINT_PATH, MOST_CHECKPOINT_BYTES);
  } finally {
    await reader.close();
  }
}

function witnessKey(text: string, before: string[] = []): string[] {
  const key = text.startsWith('@') ? readInputFile(text.slice(1), 'verifier key').trim() : text;
  try {
    parseWitnessKey(key);
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
  return [...before, key];
}
