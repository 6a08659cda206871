/** Receipts as files: one for each request, in a directory. */
import { mkdirSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { RECEIPT_SUFFIX } from '../../core/audit/receipt.ts';
import { MOST_RECEIPT_BYTES } from '../../audit/verify-receipt.ts';
import { fileTrouble, wrongUsage } from '../problems.ts';

/** A file of a receipt, or why it could not be read. */
export type ReceiptFile = { path: string } & ({ bytes: Buffer } | { problem: string });

/** The file of a request's receipt in a directory. */
export const receiptPath = (directory: string, request: string): string =>
  join(directory, `${request}${RECEIPT_SUFFIX}`);

/** Makes a directory for receipts, for its owner alone, if it is not there. @throws CliError */
export function makeReceiptsDirectory(directory: string): void {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    if (statSync(directory).isDirectory()) return;
  } catch (error) {
    throw wrongUsage(`Cannot keep receipts in ${directory}: ${fileTrouble(error)}.`, error);
  }
  throw wrongUsage(`Cannot keep receipts in ${directory}: it is not a folder.`);
}

/**
 * Writes a receipt, by way of a file beside it: it is there whole or not at all, and on the disk when this returns. It
 * takes the place of what is there already, whatever that is.
 *
 * @throws what the file system says
 */
export async function writeReceipt(
  directory: string,
  request: string,
  receipt: string,
): Promise<void> {
  const path = receiptPath(directory, request);
  // Its name in the process: two may keep receipts in one directory.
  const part = `${path}.${process.pid}.part`;
  try {
    const file = await open(part, 'w', 0o600);
    try {
      await file.writeFile(receipt);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(part, path);
  } catch (error) {
    await rm(part, { force: true });
    throw error;
  }
}

/** Paths of receipts: files as they are named, and of directories the receipts in them. @throws CliError */
export function receiptPaths(paths: readonly string[]): string[] {
  return paths.flatMap((path) => {
    if (!isDirectory(path)) return [path];
    return namesIn(path).map((name) => join(path, name));
  });
}

/** Reads a file of a receipt. Nothing is thrown: what cannot be read is told of like any other finding. */
export function readReceiptFile(path: string): ReceiptFile {
  try {
    if (statSync(path).size > MOST_RECEIPT_BYTES)
      return { path, problem: 'It is too large for a receipt.' };
    return { path, bytes: readFileSync(path) };
  } catch (error) {
    return { path, problem: `It cannot be read: ${fileTrouble(error)}.` };
  }
}

function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory)
      .filter((name) => name.endsWith(RECEIPT_SUFFIX))
      .toSorted();
  } catch (error) {
    throw wrongUsage(`Cannot read ${directory}: ${fileTrouble(error)}.`, error);
  }
}
