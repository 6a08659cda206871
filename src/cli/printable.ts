/** What others wrote, made safe for a terminal. */

/** Control and format characters: they could move the cursor, hide text or turn its direction. */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/gu;

const escaped = (character: string): string =>
  `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`;

/** On one line, with everything that cannot be seen written as an escape. */
export function oneLine(text: string): string {
  return text.replaceAll(/\s*\r?\n\s*/g, ' ').replaceAll(UNSEEN, escaped);
}

/** Over several lines, with everything else that cannot be seen written as an escape. */
export function manyLines(text: string): string {
  return text
    .replaceAll('\r\n', '\n')
    .replaceAll(UNSEEN, (character) =>
      character === '\n' || character === '\t' ? character : escaped(character),
    );
}

/** Quoted for a POSIX shell. */
export function shellQuoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
