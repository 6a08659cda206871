/** Asks a bundle for the file that must come next, and tells missing from surplus when another one comes. */
import { bundlePosition } from './bundle-layout.ts';
import type { BundleFile, BundleReader } from './bundle-reader.ts';
import { incomplete, tampered } from './finding.ts';

/**
 * The next file, which must have this name.
 *
 * @param size the log's size by its checkpoint; undefined while that is not known
 * @param firstEntry index of the first entry that is lost with the file, if it holds entries
 * @throws Finding
 */
export async function expectFile(
  reader: BundleReader,
  path: string,
  size: number | undefined,
  firstEntry?: number,
): Promise<BundleFile> {
  const file = await reader.next(path);
  if (file?.path === path) return file;
  if (file !== undefined) {
    const stands = positionOf(file.path, size);
    const belongs = positionOf(path, size) ?? 0;
    if (stands === undefined) {
      throw tampered(
        `The bundle holds “${printable(file.path)}” where ${path} should be; no bundle of this log has such a file.`,
        firstEntry,
      );
    }
    if (stands < belongs) {
      throw tampered(`The bundle holds ${file.path} twice or out of order.`, firstEntry);
    }
  }
  throw incomplete(`The bundle does not hold ${path}.`, firstEntry);
}

/** The next file, whole. Throws a Finding when it has another name or size than it must have. */
export async function readExact(
  reader: BundleReader,
  path: string,
  size: number,
  bytes: number,
): Promise<{ file: BundleFile; content: Buffer }> {
  const file = await expectFile(reader, path, size);
  if (file.size > bytes) {
    throw tampered(`${path} has ${file.size} bytes instead of ${bytes}.`);
  }
  if (file.size < bytes) {
    throw incomplete(`${path} is cut short: it has ${file.size} bytes instead of ${bytes}.`);
  }
  return { file, content: await collect(file) };
}

/** The next file, whole, when it has at most so many bytes. Throws a Finding otherwise. */
export async function readSmall(reader: BundleReader, path: string, most: number): Promise<Buffer> {
  const file = await expectFile(reader, path, undefined);
  if (file.size > most) throw tampered(`${path} has ${file.size} bytes: too many for such a file.`);
  return collect(file);
}

/** Position in the bundle; infinite for what comes after the key, where the log's size is not known yet. */
function positionOf(path: string, size: number | undefined): number | undefined {
  const position = bundlePosition(path, size ?? 0);
  if (size === undefined && /^(tile|entries)\/|^report\.md$/.test(path)) return Infinity;
  return position;
}

async function collect(file: BundleFile): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of file.body()) pieces.push(piece);
  return Buffer.concat(pieces);
}

/** A name out of a forged archive goes to a terminal: without its control characters. */
function printable(name: string): string {
  return name.slice(0, 120).replaceAll(/[^\x20-\x7e]/g, '?');
}
