/** Markdown of texts that others wrote: what they say shows as they wrote it, and forms nothing of the document. */

/** Characters that nobody sees: they could hide text or turn its direction. */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/gu;

const plain = (text: string): string =>
  text
    .replaceAll(UNSEEN, (one) => `\\u{${(one.codePointAt(0) ?? 0).toString(16)}}`)
    .replaceAll(/[\\`*[\]<>|#~&]/g, '\\$&');

/** A text on one line. */
export const line = (text: string): string => plain(text.replaceAll(/\s+/g, ' ').trim());

/** A text of several lines, as a quotation. */
export const quotation = (text: string): string =>
  text
    .split(/\r?\n/)
    .map((one) => `> ${line(one)}`.trimEnd())
    .join('\n');

/** A table. What stands in its cells is Markdown. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [row(head), row(head.map(() => '---')), ...rows.map(row)].join('\n');
}

/** A list of what is known; what is undefined is left out. */
export const facts = (list: readonly (readonly [string, string | undefined])[]): string =>
  list
    .flatMap(([name, value]) => (value === undefined ? [] : `- **${name}:** ${value}`))
    .join('\n');
