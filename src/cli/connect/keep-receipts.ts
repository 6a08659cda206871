/** What `connect --receipts` does with receipts, and says of them at the end. */
import { parseReceipt } from '../../core/audit/receipt.ts';
import { askReceipts } from '../receipts/ask.ts';
import { keepReceipt } from '../receipts/files.ts';
import type { BrokerClient } from '../broker-client.ts';
import { counted } from '../output.ts';
import { CliError, fileTrouble } from '../problems.ts';
import { ReceiptKeeper, type Kept } from './receipt-keeper.ts';

/** Ids that are named at the end; the others are counted. */
const MOST_NAMED = 10;

/**
 * Keeps receipts in a directory.
 *
 * @param tell says something beside the answer
 */
export function keepingReceipts(
  broker: BrokerClient,
  directory: string,
  tell: (line: string) => void,
): ReceiptKeeper {
  return new ReceiptKeeper({
    ask: (requests) => askReceipts(broker, requests),
    keep: (request, receipt) => keepReceipt(directory, request, receipt),
    isWhole,
    onTrouble: (error) =>
      tell(`Receipts cannot be kept now, and are tried again; requests pass on: ${why(error)}`),
  });
}

/** Whether it has an outcome, or is of a call that has none. */
function isWhole(text: string): boolean {
  const receipt = parseReceipt(Buffer.from(text, 'utf8'));
  if (!('parts' in receipt)) return false;
  const [first, ...more] = receipt.parts;
  return more.length > 0 || (first !== undefined && !isIntent(first.entry));
}

function isIntent(entry: Uint8Array): boolean {
  const said = JSON.parse(Buffer.from(entry).toString('utf8')) as { kind?: unknown };
  return said.kind === 'request.intent';
}

const why = (error: unknown): string =>
  error instanceof CliError ? error.message : `${fileTrouble(error)}.`;

/** What is said at the end. @param now epoch milliseconds */
export function receiptsInWords(
  { kept, absent, left }: Kept,
  directory: string,
  now: number,
): string[] {
  const lines = [`${counted(kept, 'receipt')} kept in ${directory}.`];
  if (absent.length > 0)
    lines.push(
      `The log has no entry under ${namesOf(absent)}: where many are refused within a minute, they are recorded together.`,
    );
  if (left.length > 0) {
    const today = new Date(now).toISOString().slice(0, 10);
    lines.push(
      `No receipt could be fetched of ${namesOf(left)}. Fetch them later: "sallyport audit receipts --since ${today} --dir ${directory}".`,
    );
  }
  return lines;
}

function namesOf(requests: readonly string[]): string {
  const more = requests.length - MOST_NAMED;
  const named = requests.slice(0, MOST_NAMED).join(', ');
  return more > 0 ? `${named} and ${more.toLocaleString('en-US')} more` : named;
}
