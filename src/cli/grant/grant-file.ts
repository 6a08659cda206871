/** Grants in files, YAML or JSON: what is wrong with one is said by field, before anything is sent. */
import { parseDocument } from 'yaml';
import type { z } from 'zod';
import { grantSpecSchema } from '../../core/grants.ts';
import { readInputFile } from '../input-file.ts';
import { wrongUsage } from '../problems.ts';

/** Wrong fields that are named at once. */
const MOST_FIELDS = 8;

/**
 * Reads a grant and checks it as the broker will.
 *
 * @returns the grant as it was written: defaults are the broker's to fill in
 * @throws CliError
 */
export function readGrantFile(path: string): object {
  const spec = parse(path, readInputFile(path, 'grant'));
  const parsed = grantSpecSchema.safeParse(spec);
  if (parsed.success) return spec as object;
  const fields = parsed.error.issues.flatMap(inWords);
  const more = fields.length > MOST_FIELDS ? `; and ${fields.length - MOST_FIELDS} more` : '';
  throw wrongUsage(
    `The grant in ${path} is not valid: ${fields.slice(0, MOST_FIELDS).join('; ')}${more}.`,
  );
}

function parse(path: string, text: string): unknown {
  const document = parseDocument(text, { prettyErrors: true });
  const [error] = document.errors;
  if (error) {
    const [firstLine = ''] = error.message.split('\n');
    throw wrongUsage(`${path} is not valid YAML: ${firstLine.replace(/:$/, '')}.`);
  }
  try {
    // Without a bound, a few lines of aliases grow to gigabytes.
    return document.toJS({ maxAliasCount: 100 });
  } catch (cause) {
    throw wrongUsage(`${path} is not valid YAML: ${(cause as Error).message}.`, cause);
  }
}

function inWords(issue: z.core.$ZodIssue): string[] {
  const at = (path: PropertyKey[]): string => (path.length === 0 ? 'the file' : path.join('.'));
  if (issue.code === 'unrecognized_keys')
    return issue.keys.map((key) => `${at([...issue.path, key])} is not a field of a grant`);
  if (issue.code === 'invalid_type' && issue.message.endsWith('received undefined'))
    return [`${at(issue.path)} is missing`];
  const message = issue.message.replace(/^Invalid (input|option): /, '');
  return [`${at(issue.path)} ${message.charAt(0).toLowerCase()}${message.slice(1)}`];
}
