/** Shows the terms of a grant, and vouches that what was shown is what would be accepted. */
import { createHash } from 'node:crypto';
import { printText, type JsonOption } from '../output.ts';
import { failed } from '../problems.ts';
import type { Surroundings } from '../surroundings.ts';

export interface ShownTerms {
  /** The grant. */
  id: string;
  title: string;
  terms: { version: string; text: string };
  /** What the broker would record as accepted. */
  termsDigest: string;
}

/**
 * Shows the terms in full.
 *
 * @returns SHA-256 of the text that was shown, hex
 * @throws CliError when the broker speaks of other terms than it shows
 */
export function showTerms(around: Surroundings, shown: ShownTerms, { json }: JsonOption): string {
  const { id, title, terms, termsDigest } = shown;
  const digest = createHash('sha256').update(terms.text, 'utf8').digest('hex');
  if (digest !== termsDigest)
    throw failed(
      'The broker shows other terms than those it would record as accepted. Accept nothing, and tell the host lab.',
    );
  // With --json, standard output is for the document alone.
  const out = json ? around.err : around.out;
  printText({ out }, `Terms of ${id} (${title}), version ${terms.version}:`, terms.text);
  out(`SHA-256 of the terms: ${digest}\n`);
  return digest;
}
