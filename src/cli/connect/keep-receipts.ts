/** What `connect --receipts` does with receipts, and says of them at the end. */
import type { BrokerClient } from '../broker-client.ts';
import { counted } from '../output.ts';
import { CliError, fileTrouble } from '../problems.ts';
import type { TrustedKeys } from '../../audit/known-keys.ts';
import { ReceiptStore } from '../receipts/keep.ts';
import { ReceiptKeeper, type Kept } from './receipt-keeper.ts';

/** Ids that are named at the end; the others are counted. */
const MOST_NAMED = 10;

/**
 * Keeps receipts in a directory.
 *
 * @param keys that they are checked with
 * @param tell says something beside the answer
 */
export function keepingReceipts(
  broker: BrokerClient,
  directory: string,
  keys: TrustedKeys,
  tell: (line: string) => void,
): ReceiptKeeper {
  const store = new ReceiptStore(broker, directory, keys);
  return new ReceiptKeeper({
    ask: (requests) => store.ask(requests),
    keep: async (request, receipt) => {
      const { outcome, report } = await store.keep(request, receipt);
      if (outcome === 'refused') return 'refused';
      return report.status === 'sound' ? 'whole' : 'part';
    },
    onTrouble: (error) =>
      tell(`Receipts cannot be kept now, and are tried again; requests pass on: ${why(error)}`),
  });
}

const why = (error: unknown): string =>
  error instanceof CliError ? error.message : `${fileTrouble(error)}.`;

/** What is said at the end. @param now epoch milliseconds */
export function receiptsInWords(
  { kept, absent, refused, left }: Kept,
  directory: string,
  now: number,
): string[] {
  const lines = [`${counted(kept, 'receipt')} kept in ${directory}.`];
  if (absent.length > 0)
    lines.push(
      `The log has no entry under ${namesOf(absent)}: where many are refused within a minute, they are recorded together.`,
    );
  if (refused.length > 0)
    lines.push(
      `What the broker gave for ${namesOf(refused)} is no sound receipt, and was not kept: no key that you trust is of this log, or the log may have been tampered with ("sallyport audit receipts" says which).`,
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
