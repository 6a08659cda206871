/** Reads the entries of a bundle: JSON lines, in files of 1,024. */
import { equalBytes } from '../core/tlog/bytes.ts';
import { TILE_WIDTH } from '../core/audit/tiles.ts';
import { leafHash } from '../core/audit/merkle.ts';
import type { EntryBlocks } from '../verify/check-entries.ts';
import type { LeafHashAt } from '../verify/explain-mismatch.ts';
import { Finding, incomplete, tampered } from '../verify/finding.ts';
import { isJson } from '../verify/own-place.ts';
import { bundleEntriesFiles, type BundleEntriesFile, type BundleRange } from './bundle-layout.ts';
import type { BundleReader } from './bundle-reader.ts';
import { expectFile } from './expected-file.ts';
import { LineTooLong, createLineSplitter } from './line-splitter.ts';

/**
 * The entries of all files, tile by tile.
 *
 * @param hashes leaf hashes, to tell a line that was cut from one that was changed
 */
export async function* bundleEntries(
  reader: BundleReader,
  size: number,
  hashes: LeafHashAt,
  range: BundleRange = { from: 0, to: size },
): EntryBlocks & AsyncGenerator {
  for (const file of bundleEntriesFiles(range))
    yield* readEntriesFile(reader, file, { size, range }, hashes);
}

/** Reads one file of entries. Throws a Finding when it does not hold exactly its entries' lines. */
async function* readEntriesFile(
  reader: BundleReader,
  { path, first, count }: BundleEntriesFile,
  { size, range }: { size: number; range: BundleRange },
  hashes: LeafHashAt,
): EntryBlocks & AsyncGenerator {
  const file = await expectFile(reader, path, size, first, range);
  const end = first + count;
  const splitter = createLineSplitter();
  let block: Buffer[] = [];
  let index = first;
  try {
    for await (const piece of file.body()) {
      for (const line of splitter.push(piece)) {
        if (index === end) throw tampered(`${path} goes on after entry ${end - 1}.`, end);
        block.push(line);
        index += 1;
        if (block.length === TILE_WIDTH || index === end) {
          yield block;
          block = [];
        }
      }
    }
  } catch (error) {
    if (block.length > 0) yield block;
    if (error instanceof LineTooLong) {
      throw tampered(`Entry ${index} was changed: its line in ${path} is too long.`, index);
    }
    // The archive ended inside the file: the reader knows where, and here it is known what is lost.
    if (error instanceof Finding && error.status === 'incomplete') {
      throw incomplete(`${error.message} The first entry that is lost is ${index}.`, index);
    }
    throw error;
  }
  if (block.length > 0) yield block;

  const rest = splitter.rest();
  if (index === end) {
    if (rest.length === 0) return;
    throw tampered(`${path} goes on after entry ${end - 1}.`, end);
  }
  if (rest.length > 0) {
    // Bytes without a newline after them: a line that was cut, unless all of the entry is there.
    const whole = equalBytes(leafHash(rest.subarray(0, -1)), await hashes(index));
    if (whole || isJson(rest)) {
      throw tampered(`Entry ${index} was changed: its line in ${path} does not end.`, index);
    }
  }
  throw incomplete(`${path} is cut short: it ends before the end of entry ${index}.`, index);
}
