/** Asks a bundle for a file that must be there, and tells a missing one from one that stands in its place. */
import { Finding, incomplete, tampered } from '../verify/finding.ts';
import { belongsToBundle, type BundleRange } from './bundle-layout.ts';
import type { BundleFile, BundleReader } from './bundle-reader.ts';
import { printable } from './tar-reader.ts';

/**
 * The file of this name.
 *
 * @param size the log's size by its checkpoint; undefined while that is not known
 * @param range of the entries that the bundle is of, once that is known
 * @param firstEntry index of the first entry that is lost with the file, if it holds entries
 * @throws Finding
 */
export async function expectFile(
  reader: BundleReader,
  path: string,
  size: number | undefined,
  firstEntry?: number,
  range?: BundleRange,
): Promise<BundleFile> {
  const file = await found(reader, path, firstEntry);
  if (file !== undefined) return file;
  const other = await reader.surplus((name) => mayBelong(name, size, range), []);
  if (other !== undefined) {
    throw tampered(
      `The bundle does not hold ${path}, but “${printable(other)}”, which no bundle of this log has.`,
      firstEntry,
    );
  }
  throw incomplete(`The bundle does not hold ${path}.`, firstEntry);
}

async function found(
  reader: BundleReader,
  path: string,
  firstEntry: number | undefined,
): Promise<BundleFile | undefined> {
  try {
    return await reader.find(path);
  } catch (error) {
    if (error instanceof Finding && error.status === 'incomplete')
      throw incomplete(error.message, firstEntry);
    throw error;
  }
}

/** A file, whole. Throws a Finding when it is not there or has another size than it must have. */
export async function readExact(
  reader: BundleReader,
  path: string,
  size: number,
  bytes: number,
): Promise<Buffer> {
  const file = await expectFile(reader, path, size);
  if (file.size > bytes) {
    throw tampered(`${path} has ${file.size} bytes instead of ${bytes}.`);
  }
  if (file.size < bytes) {
    throw incomplete(`${path} is cut short: it has ${file.size} bytes instead of ${bytes}.`);
  }
  return collect(file);
}

/** A file, whole, when it has at most so many bytes. Throws a Finding otherwise. */
export async function readSmall(reader: BundleReader, path: string, most: number): Promise<Buffer> {
  const file = await expectFile(reader, path, undefined);
  if (file.size > most) throw tampered(`${path} has ${file.size} bytes: too many for such a file.`);
  return collect(file);
}

/** Whether a bundle has such a file; while the log's size is not known, and whether it is a report, whatever may be one. */
function mayBelong(path: string, size: number | undefined, range?: BundleRange): boolean {
  if (belongsToBundle(path, size ?? 0, range)) return true;
  // While it is not known of which entries the bundle is, any may be.
  if (range === undefined && /^entries\/\d{12,}\.jsonl$/.test(path)) return true;
  return (
    size === undefined &&
    /^(?:(?:tile|entries|evidence|orders)\/|[a-z]+\.(?:md|json|html)$)/.test(path)
  );
}

async function collect(file: BundleFile): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of file.body()) pieces.push(piece);
  return Buffer.concat(pieces);
}
