/** Options that say whose cosignatures a checkpoint must have, and what comes of them. */
import { InvalidArgumentError, Option, type Command } from 'commander';
import { parseWitnessKey } from '../../core/audit/cosignature.ts';
import { describeKey } from '../../core/audit/note.ts';
import { PolicyError, parseWitnessPolicy } from '../../core/audit/witness-policy.ts';
import { anyOf, witnessing, type WitnessPolicy } from '../../core/audit/witnessing.ts';
import type { LogReport } from '../../verify/check-log.ts';
import { wholeNumber } from '../arguments.ts';
import { readInputFile } from '../input-file.ts';

export interface WitnessOptions {
  witness?: string[];
  witnessesNeeded?: number;
  policy?: string;
}

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
  const keys = witness.map(parseWitnessKey);
  // Two keys can bear one name, and are two witnesses.
  const known = keys.map((key) => ({
    name: keys.some((other) => other.name === key.name && other.keyId !== key.keyId)
      ? describeKey(key)
      : key.name,
    verifierKey: key.verifierKey,
  }));
  if (witnessesNeeded !== undefined && witnessesNeeded > known.length)
    throw new Error(`--witnesses-needed is more than the ${known.length} that --witness names.`);
  return anyOf(known, witnessesNeeded ?? known.length);
}

/** What a report has that cosignatures bear on. */
type WitnessedReport = Pick<LogReport, 'status' | 'checkpoint' | 'problem'> & {
  checked?: string[];
};

/**
 * Adds to a report what the cosignatures of its checkpoint come to: too few of them, and it is incomplete; one that is
 * forged, and it was tampered with.
 *
 * @param report of a bundle, a log or a receipt; is changed, but one that is not sound stays as it is
 */
export function heedWitnesses(report: WitnessedReport, policy: WitnessPolicy): void {
  if (report.status !== 'sound' || report.checkpoint === undefined) return;
  const { signed, missing, bad, isWitnessed } = witnessing(report.checkpoint, policy);
  const names = signed.map(({ name, at }) => `${name} (${new Date(at).toISOString()})`);
  if (bad.length > 0) {
    report.status = 'tampered';
    report.problem = `The checkpoint carries a cosignature in the name of ${bad.join(', ')} that is not theirs.`;
  } else if (!isWitnessed) {
    report.status = 'incomplete';
    report.problem = `Too few witnesses have cosigned the checkpoint: ${names.join(', ') || 'none'} of ${policy.witnesses.length}; not ${missing.join(', ')}.`;
  } else report.checked?.push(`cosigned by ${names.join(', ') || 'nobody, as is enough'}`);
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
