/** One header of a tar archive (POSIX.1-1988 ustar), and the few records of newer tar programs that change nothing. */

export const BLOCK = 512;

/** What a header says. */
export interface TarHeader {
  /** Where the file is, without a leading `./`. */
  path: string;
  /** Bytes of its content. */
  size: number;
  /** `note`: records of a pax header, which must be harmless. */
  type: 'file' | 'folder' | 'note';
}

/** Records of a pax header that say nothing about which bytes are whose. */
const HARMLESS_RECORDS = /^(?:[amc]time|uid|gid|uname|gname|comment|SCHILY\.(?:dev|ino|nlink))$/;

/** Reads a header. A string says what is wrong with it. */
export function parseTarHeader(block: Buffer): TarHeader | string {
  // The two forms in use; the sum takes its own field as eight spaces.
  const [, long, short] =
    /^(?:([0-7]{6})\0 |([0-7]{6}) \0)$/.exec(block.toString('latin1', 148, 156)) ?? [];
  let sum = 8 * 0x20;
  for (const byte of block) sum += byte;
  for (const byte of block.subarray(148, 156)) sum -= byte;
  if (Number.parseInt(long ?? short ?? '', 8) !== sum) return 'is damaged: its checksum is wrong';
  if (block.toString('latin1', 257, 262) !== 'ustar') return 'is not of the ustar format';
  const octal = /^([0-7]{11})[ \0]$/.exec(block.toString('latin1', 124, 136))?.[1];
  if (octal === undefined) return 'gives no size';
  const type = TYPES[block.toString('latin1', 156, 157)];
  if (type === undefined) return 'is of something else than a plain file';
  const prefix = field(block, 345, 500);
  const name = field(block, 0, 100);
  // GNU tar keeps times in the place of the prefix.
  const isPosix = block.toString('latin1', 257, 263) === 'ustar\0';
  const path = isPosix && prefix !== '' ? `${prefix}/${name}` : name;
  return { path: path.replace(/^(?:\.\/)+/, ''), size: Number.parseInt(octal, 8), type };
}

const TYPES: Record<string, TarHeader['type'] | undefined> = {
  '0': 'file',
  '\0': 'file',
  '5': 'folder',
  x: 'note',
  g: 'note',
};

/** Whether a pax header has only records that do not bear on a file's name, size or content. */
export function isHarmlessNote(content: Buffer): boolean {
  let rest = content.toString('latin1');
  while (rest !== '') {
    const length = Number(/^(\d{1,5}) /.exec(rest)?.[1] ?? 0);
    const key = /^\d+ ([^=]*)=/.exec(rest.slice(0, length))?.[1];
    if (key === undefined || !HARMLESS_RECORDS.test(key)) return false;
    rest = rest.slice(length);
  }
  return true;
}

/** A text field: up to its first NUL. */
function field(block: Buffer, start: number, end: number): string {
  const text = block.toString('latin1', start, end);
  const nul = text.indexOf('\0');
  return nul === -1 ? text : text.slice(0, nul);
}
